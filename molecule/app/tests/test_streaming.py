"""What becomes of WebSockets and event streams, flask-sock's under gunicorn, when their application is deployed again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from testinfra.host import Host

from applications import Deploys, active
from probe import until

SOCKETS = """
import itertools, os, time
from flask import Flask
from flask_sock import Sock
app = Flask(__name__)
sock = Sock(app)
@app.get("/")
def index():
    return {"version": VERSION}
@sock.route("/socket")
def socket(ws):
    ws.send(os.environ["APP_RELEASE"])
    while True:
        ws.send(ws.receive())
@app.get("/events")
def events():
    lines = (time.sleep(bool(number)) or f"data: {number}\\n\\n" for number in itertools.count())  # an event each second
    return app.response_class(lines, mimetype="text/event-stream")
"""
# Opens a WebSocket and an event stream, says so with a file, waits until both have ended, and connects again. Prints which release
# greeted at either time. Messages of a server are not masked, and short ones have their length in the second byte (RFC 6455, 5.2).
STAY = """
import pathlib, socket
def ask(url, *headers):
    connection = socket.socket(socket.AF_UNIX); connection.settimeout(300); connection.connect("/run/streaming/app.sock")
    connection.sendall("\\r\\n".join([f"GET {url} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode())
    answer = connection.makefile("rb")
    while answer.readline() != b"\\r\\n":
        pass
    return answer
def greeting():
    asked = "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    answer = ask("/socket", *asked)
    print(answer.read(answer.read(2)[1]).decode())
    return answer
both = greeting(), ask("/events")
both[1].readline()
pathlib.Path("/run/both").touch()
for answer in both:
    try:
        answer.read()
    except ConnectionResetError:
        pass
greeting()
"""


def test_they_end_with_the_drain_and_who_connects_again_reaches_the_new_release(host: Host, tmp_path: Path) -> None:
    """By itself gunicorn would let them go on for an hour here."""
    deploys = Deploys(host, tmp_path)
    settings = {
        "app_name": "streaming",
        "app_server": "gunicorn",
        "app_drain_timeout_seconds": 2,
        "gunicorn_graceful_timeout_seconds": 3600,
        "process_manager_stop_timeout_seconds": 3600,
    }
    deploys.write("flask\nflask-sock\n", "requirements.txt")
    deploys.write(SOCKETS.replace("VERSION", "1"))
    code, output = deploys.run(**settings)
    assert code == 0, output
    old = active(host, "streaming")
    with ThreadPoolExecutor() as background:
        stay = background.submit(host.check_output, "timeout 600 python3 -c %s", STAY)
        until(lambda: host.file("/run/both").exists, "a WebSocket and an event stream are open")
        host.check_output("rm /run/both")
        deploys.write(SOCKETS.replace("VERSION", "2"))
        code, output = deploys.run(**settings)
        assert code == 0, output
        assert stay.result().split() == [old, active(host, "streaming")]
