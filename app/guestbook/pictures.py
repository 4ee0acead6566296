"""Visitors' pictures: what is one, where it is kept, how it is served."""

import re
import secrets
from pathlib import Path

from flask import Blueprint, Response, abort, current_app, send_from_directory
from werkzeug.datastructures import FileStorage

blueprint = Blueprint("pictures", __name__)

# A file is what its first bytes say; the name and the type a browser claims for it are not asked.
SIGNATURE = re.compile(
    rb"(?P<png>\x89PNG\r\n\x1a\n)|(?P<jpeg>\xff\xd8\xff)|(?P<gif>GIF8[79]a)|(?P<webp>RIFF....WEBP)",
    re.DOTALL,
)
NAME = re.compile(r"[0-9a-f]{32}\.(?P<kind>png|jpeg|gif|webp)")
YEAR_SECONDS = 365 * 24 * 3600


def kind(file: FileStorage) -> str | None:
    """The kind of picture in the file (png, jpeg, gif or webp), or None when it is none."""
    match = SIGNATURE.match(file.stream.read(12))
    file.stream.seek(0)
    return match.lastgroup if match else None


def save(file: FileStorage) -> str:
    """Keep the picture under a random name, and return that name."""
    folder = Path(current_app.config["UPLOAD_FOLDER"])
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{secrets.token_hex(16)}.{kind(file)}"
    file.save(folder / name)
    return name


@blueprint.get("/uploads/<name>")
def show(name: str) -> Response:
    """One picture. A name is never used twice, so browsers may keep what they got."""
    match = NAME.fullmatch(name)
    if not match:
        abort(404)
    return send_from_directory(
        current_app.config["UPLOAD_FOLDER"],
        name,
        mimetype=f"image/{match['kind']}",
        max_age=YEAR_SECONDS,
    )
