"""The book for programs. Every answer is JSON, the errors too.

No CSRF token is asked for: only a body of type application/json is read, and browsers let no
foreign page send that here.
"""

from typing import Any

from flask import Blueprint, abort, jsonify, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from werkzeug.datastructures import MultiDict

from guestbook.book import EntryForm, add_entry
from guestbook.database import Entry, transaction
from guestbook.serving import served_by

blueprint = Blueprint("api", __name__, url_prefix="/api")

LARGEST_ID = 2**31 - 1
LARGEST_LIMIT = 100


@blueprint.get("/entries")
def entries() -> ResponseReturnValue:
    """Entries with an id above `after`, oldest first, at most `limit`.

    To read the whole book, ask again with the last id received until the list is empty.
    """
    after = _query_integer("after", default=0, low=0, high=LARGEST_ID)
    limit = _query_integer("limit", default=20, low=1, high=LARGEST_LIMIT)
    with transaction() as session:
        found = session.scalars(select(Entry).where(Entry.id > after).order_by(Entry.id).limit(limit)).all()
    return {"entries": [_as_json(entry) for entry in found]}


@blueprint.post("/entries")
def create() -> ResponseReturnValue:
    """Add an entry from {"name": ..., "message": ...}."""
    body = request.get_json()
    if not isinstance(body, dict) or not all(isinstance(text, str) for text in body.values()):
        abort(400, "The body must be a JSON object with the texts name and message.")
    form = EntryForm(MultiDict(body), meta={"csrf": False})
    if not form.validate():
        return {"error": "The entry is not valid.", "fields": form.errors}, 400
    entry = add_entry(form)
    return _as_json(entry), 201, {"Location": url_for("api.entry", entry_id=entry.id)}


@blueprint.get(f"/entries/<int(max={LARGEST_ID}):entry_id>")
def entry(entry_id: int) -> ResponseReturnValue:
    """One entry."""
    with transaction() as session:
        found = session.get(Entry, entry_id)
    if found is None:
        abort(404, "There is no such entry.")
    return _as_json(found)


@blueprint.get("/whoami")
def whoami() -> ResponseReturnValue:
    """The caller as the application sees it: shows whether the proxies in front tell it right."""
    return jsonify(
        address=request.remote_addr,
        scheme=request.scheme,
        host=request.host,
        root=request.url_root,
        served_by=served_by(),
    )


def _as_json(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "name": entry.name,
        "message": entry.message,
        "picture": entry.picture and url_for("pictures.show", name=entry.picture),
        "created_at": entry.created_at.isoformat(),
    }


def _query_integer(name: str, default: int, low: int, high: int) -> int:
    value = request.args.get(name, str(default))
    # isdecimal() alone would let a number of any length into int(), which refuses 4300 digits.
    if not value.isdecimal() or len(value) > len(str(high)) or not low <= int(value) <= high:
        abort(400, f"{name} must be a whole number from {low} to {high}.")
    return int(value)
