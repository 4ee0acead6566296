"""What a visitor can rely on."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from guestbook.settings import Settings

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
PICTURES = {
    "png": PNG,
    "jpeg": b"\xff\xd8\xff\xe0" + bytes(100),
    "gif": b"GIF89a" + bytes(100),
    "webp": b"RIFF\x64\x00\x00\x00WEBPVP8 " + bytes(100),
}


def the_entry(client: FlaskClient) -> dict[str, Any]:
    (entry,) = client.get("/api/entries").get_json()["entries"]
    return entry


def test_an_empty_book_invites_to_begin_it(client: FlaskClient) -> None:
    assert "still blank" in client.get("/").text


def test_an_entry_is_thanked_for_and_stays_in_the_book(client: FlaskClient, sign: Callable[..., TestResponse]) -> None:
    answer = sign(name="Zoë", message="Lovely\nplace")
    assert (answer.status_code, answer.location) == (303, "/#entries")
    page = client.get("/").text
    assert "Thank you, Zoë." in page
    assert "Lovely\nplace" in page
    assert "Thank you" not in client.get("/").text


def test_what_visitors_write_is_never_markup(client: FlaskClient, sign: Callable[..., TestResponse]) -> None:
    sign(name="<b>Eve</b>", message="<script>alert(1)</script>")
    page = client.get("/").text
    assert "<b>Eve" not in page
    assert "<script>alert" not in page


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"name": "  "}, "Please tell us your name."),
        ({"message": ""}, "Please leave a few words."),
        ({"name": "x" * 81}, "At most 80 characters, please."),
        ({"message": "x" * 2001}, "At most 2000 characters, please."),
        ({"message": "a\0b"}, "This holds characters that are not text."),
    ],
)
def test_an_invalid_entry_is_explained_and_not_kept(
    client: FlaskClient, sign: Callable[..., TestResponse], fields: dict[str, str], complaint: str
) -> None:
    answer = sign(**fields)
    assert answer.status_code == 400
    assert complaint in answer.text
    assert client.get("/api/entries").get_json() == {"entries": []}


def test_a_refused_form_keeps_what_was_typed(sign: Callable[..., TestResponse]) -> None:
    assert "My long letter" in sign(name="", message="My long letter").text


def test_a_refused_field_points_to_its_complaint(sign: Callable[..., TestResponse]) -> None:
    page = sign(name="").text
    assert 'aria-describedby="name-error" aria-invalid="true"' in page
    assert 'id="name-error"' in page
    assert page.count("aria-invalid") == 1


def test_a_line_break_counts_as_one_character_as_in_the_browser(
    sign: Callable[..., TestResponse],
) -> None:
    assert sign(message="\r\n".join("x" * 1000)).status_code == 303


@pytest.mark.parametrize("token", ["", "forged"])
def test_a_form_without_a_valid_csrf_token_is_refused(
    client: FlaskClient, sign: Callable[..., TestResponse], token: str
) -> None:
    answer = sign(csrf_token=token)
    assert answer.status_code == 400
    assert "send your entry once more" in answer.text
    assert client.get("/api/entries").get_json() == {"entries": []}


def test_pages_run_from_newest_to_oldest(client: FlaskClient) -> None:
    for number in range(11):
        client.post("/api/entries", json={"name": f"Visitor {number}", "message": "x"})
    first, second = client.get("/").text, client.get("/?page=2").text
    assert first.index("Visitor 10<") < first.index("Visitor 1<")
    assert "Visitor 0<" not in first
    assert "Visitor 0<" in second
    assert 'href="/?page=2#entries"' in first


@pytest.mark.parametrize("page", ["0", "-1", "2", "9" * 40])
def test_a_page_that_does_not_exist_is_a_404(client: FlaskClient, page: str) -> None:
    assert client.get(f"/?page={page}").status_code == 404


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_is_served_as_what_it_is(client: FlaskClient, sign: Callable[..., TestResponse], kind: str) -> None:
    content = PICTURES[kind]
    assert sign(picture=(BytesIO(content), "../../evil.html", "text/html")).status_code == 303
    answer = client.get(the_entry(client)["picture"])
    assert answer.data == content
    assert answer.content_type == f"image/{kind}"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("content", [b"<svg onload='alert(1)'/>", b"", b"MZ\x90", b"RIFF1234WAVE"])
def test_a_file_that_only_claims_to_be_a_picture_is_refused(
    client: FlaskClient, sign: Callable[..., TestResponse], settings: Settings, content: bytes
) -> None:
    answer = sign(picture=(BytesIO(content), "holiday.png", "image/png"))
    assert answer.status_code == 400
    assert "Only PNG, JPEG, GIF or WebP" in answer.text
    assert not settings.upload_folder.exists()


def test_two_pictures_of_one_name_do_not_collide(client: FlaskClient, sign: Callable[..., TestResponse]) -> None:
    for last in b"ab":
        sign(picture=(BytesIO(PNG + bytes([last])), "same.png"))
    first, second = (entry["picture"] for entry in client.get("/api/entries").get_json()["entries"])
    assert client.get(first).data != client.get(second).data


@pytest.mark.parametrize("name", ["../test.db", "..%2ftest.db", "notes.txt", f"{0:032}.png.html", f"{0:032}.png"])
def test_only_pictures_leave_the_upload_folder(client: FlaskClient, settings: Settings, name: str) -> None:
    settings.upload_folder.mkdir()
    for other in ("notes.txt", f"{0:032}.png.html"):
        (settings.upload_folder / other).write_text("private")
    assert client.get(f"/uploads/{name}").status_code == 404


def test_too_large_an_upload_gets_a_friendly_413(sign: Callable[..., TestResponse]) -> None:
    answer = sign(picture=(BytesIO(PNG + bytes(2**20)), "large.png"))
    assert answer.status_code == 413
    assert "at most 1 MB" in answer.text
