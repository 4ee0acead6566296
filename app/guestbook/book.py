"""The book itself: the page that shows it, and the form that adds to it."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from sqlalchemy import func, select
from wtforms import StringField, TextAreaField
from wtforms.validators import DataRequired, Length, ValidationError

from guestbook import pictures
from guestbook.database import MESSAGE_LENGTH, NAME_LENGTH, Entry, transaction

blueprint = Blueprint("book", __name__)

ENTRIES_PER_PAGE = 10


def _tidy(text: str | None) -> str | None:
    return text.replace("\r\n", "\n").strip() if text else text


def _storable(form: FlaskForm, field: StringField) -> None:
    """Refuse what JSON can carry and PostgreSQL cannot hold: NUL and lone surrogates."""
    if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in field.data or ""):
        raise ValidationError("This holds characters that are not text.")


class EntryForm(FlaskForm):
    """A new entry, from the page or (without CSRF token and picture) from the API."""

    name = StringField(
        "Your name",
        filters=[_tidy],
        validators=[
            DataRequired("Please tell us your name."),
            Length(max=NAME_LENGTH, message="At most %(max)d characters, please."),
            _storable,
        ],
    )
    message = TextAreaField(
        "Your message",
        filters=[_tidy],
        validators=[
            DataRequired("Please leave a few words."),
            Length(max=MESSAGE_LENGTH, message="At most %(max)d characters, please."),
            _storable,
        ],
    )
    picture = FileField("A picture")

    def validate_picture(self, field: FileField) -> None:
        """Only pictures that browsers show."""
        if field.data and not pictures.kind(field.data):
            raise ValidationError("Only PNG, JPEG, GIF or WebP pictures, please.")


def add_entry(form: EntryForm) -> Entry:
    """Write a valid form's entry into the book, and its picture to disk only if that works."""
    entry = Entry(name=form.name.data, message=form.message.data)
    with transaction() as session:
        session.add(entry)
        session.flush()
        if form.picture.data:
            entry.picture = pictures.save(form.picture.data)
    return entry


@blueprint.get("/")
def read() -> str:
    """A page of the book, newest entries first."""
    return _page(EntryForm())


@blueprint.post("/")
def sign() -> ResponseReturnValue:
    """Add an entry and go to it, or show the form again with what is wrong."""
    form = EntryForm()
    if not form.validate():
        return _page(form), 400
    entry = add_entry(form)
    flash(f"Thank you, {entry.name}. Your words are in the book.")
    return redirect(url_for("book.read", _anchor="entries"), 303)


def _page(form: EntryForm) -> str:
    number = request.args.get("page", 1, type=int)
    with transaction() as session:
        total = session.scalar(select(func.count()).select_from(Entry)) or 0
        pages = max(1, -(-total // ENTRIES_PER_PAGE))
        if not 1 <= number <= pages:
            abort(404)
        newest_first = select(Entry).order_by(Entry.id.desc()).limit(ENTRIES_PER_PAGE)
        entries = session.scalars(newest_first.offset((number - 1) * ENTRIES_PER_PAGE)).all()
    return render_template("book.html", form=form, entries=entries, total=total, number=number, pages=pages)
