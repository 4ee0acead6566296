"""What a program can rely on."""

from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient

ENTRY = {"name": "Ada", "message": "Hello"}


def test_an_entry_can_be_added_and_read_back(client: FlaskClient) -> None:
    answer = client.post("/api/entries", json=ENTRY)
    assert answer.status_code == 201
    assert answer.get_json().items() >= ENTRY.items()
    assert client.get(answer.location).get_json() == answer.get_json()


def test_times_are_in_utc_whatever_zone_the_database_is_in(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    before = datetime.now(UTC)
    location = client.post("/api/entries", json=ENTRY).location
    after = datetime.now(UTC)
    created_at = datetime.fromisoformat(client.get(location).get_json()["created_at"])
    assert created_at.utcoffset() == timedelta()
    assert before <= created_at <= after


def test_the_whole_book_can_be_read_in_steps(client: FlaskClient) -> None:
    ids = [client.post("/api/entries", json=ENTRY).get_json()["id"] for _ in range(5)]
    found, after = [], 0
    while batch := client.get(f"/api/entries?after={after}&limit=2").get_json()["entries"]:
        assert len(batch) <= 2
        found += [entry["id"] for entry in batch]
        after = found[-1]
    assert found == ids


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "Ada"}, "message"),
        ({"message": "Hello"}, "name"),
        ({"name": " ", "message": "Hello"}, "name"),
        ({"name": "Ada", "message": "x" * 2001}, "message"),
        ({"name": "Ada", "message": "a\0b"}, "message"),
        ({"name": "Ada", "message": "\ud800"}, "message"),
    ],
)
def test_an_invalid_entry_names_the_field(client: FlaskClient, body: dict[str, str], field: str) -> None:
    answer = client.post("/api/entries", json=body)
    assert answer.status_code == 400
    assert list(answer.get_json()["fields"]) == [field]


@pytest.mark.parametrize("body", ["[]", "null", '{"name": 1, "message": "x"}', '{"name": ', ""])
def test_a_malformed_body_is_a_json_400(client: FlaskClient, body: str) -> None:
    answer = client.post("/api/entries", data=body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.get_json()["error"]


def test_a_form_of_a_foreign_page_cannot_post_to_the_api(client: FlaskClient) -> None:
    assert client.post("/api/entries", data=ENTRY).status_code == 415
    text = client.post("/api/entries", data='{"name":"a","message":"b"}', content_type="text/plain")
    assert text.status_code == 415


@pytest.mark.parametrize("query", ["after=x", "after=-1", "after=" + "9" * 5000, "limit=0", "limit=101", "limit=1.5"])
def test_a_malformed_query_is_a_json_400(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/api/entries?{query}")
    assert answer.status_code == 400
    assert "must be a whole number" in answer.get_json()["error"]


@pytest.mark.parametrize("path", ["entries/1", "entries/" + "9" * 40, "nothing"])
def test_what_does_not_exist_is_a_json_404(client: FlaskClient, path: str) -> None:
    answer = client.get(f"/api/{path}")
    assert answer.status_code == 404
    assert answer.get_json()["error"]


def test_a_wrong_method_is_told_the_right_ones(client: FlaskClient) -> None:
    answer = client.delete("/api/entries/1")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]
    assert answer.get_json()["error"]
