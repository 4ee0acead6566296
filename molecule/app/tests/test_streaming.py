"""WebSockets and event streams under gunicorn: flask-sock's when their application is deployed again, and Flask-SocketIO's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from testinfra.host import Host

from applications import Deploys, active
from probe import ROOT, play, said, until

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
# With one worker, as it has to be without a message queue, and an application that is served in threads.
SOCKETIO = """
import os
from flask import Flask, request
from flask_socketio import SocketIO
from socketio import RedisManager
app = Flask(__name__)
queue = {"client_manager": RedisManager(os.environ["REDIS_URL"])} if "REDIS_URL" in os.environ else {}
io = SocketIO(app, async_mode="threading", **queue)
@app.get("/")
def index():
    return {}
@io.on("ask")
def answer(word):
    return [word.upper(), io.server.transport(request.sid)]
@io.on("who")
def who():
    return os.getpid()
@io.on("tell")
def tell(word):
    io.emit("told", word)
"""
# Flask-SocketIO's own client, by a WebSocket alone, by polling alone, and as it is by itself: polling, then a WebSocket.
TALK = """
import sys
import socketio
for url in sys.argv[1:]:
    for transports in ["websocket"], ["polling"], None:
        client = socketio.SimpleClient(ssl_verify=False)
        client.connect(url, transports=transports)
        print(url, *client.call("ask", "ahoy", timeout=60))
        client.disconnect()
"""
# Clients of both workers, of which one has all others told something.
TELL = """
import sys
import socketio
clients = {}
for _ in range(200):
    client = socketio.SimpleClient(ssl_verify=False)
    client.connect(sys.argv[1], transports=["websocket"])
    clients.setdefault(client.call("who", timeout=60), client)
    if len(clients) == 2:
        break
first, second = clients.values()
first.emit("tell", "ahoy")
print(*second.receive(timeout=60))
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


def test_a_client_of_flask_socketio_gets_its_answer_through_either_edge(host: Host, tmp_path: Path) -> None:
    """Over a WebSocket, by polling, where one of its requests waits while another is sent, and from the one to the other.

    Which origins are let in, Flask-SocketIO judges by the scheme, the host and the port that the edge tells.
    """
    deploys = Deploys(host, tmp_path)
    settings = {"app_name": "talking", "app_server": "gunicorn", "gunicorn_workers": 1, "gunicorn_threads": 8}
    deploys.write("flask\nflask-socketio\nsimple-websocket\nredis\nrequests\nwebsocket-client\n", "requirements.txt")
    deploys.write(SOCKETIO)
    code, output = deploys.run(**settings)
    assert code == 0, output
    edges = play(ROOT / "molecule/app/edges.yml")
    assert edges.returncode == 0, said(edges)
    urls = "https://localhost", "https://localhost:8443"
    answers = host.check_output(f"timeout 300 /srv/talking/current/.venv/bin/python -c %s {' '.join(urls)}", TALK)
    transports = "websocket", "polling", "websocket"
    assert answers.splitlines() == [f"{url} AHOY {transport}" for url in urls for transport in transports]
    # Several workers, and Slipway's Valkey as the queue through which they reach each other's clients (docs/websockets.md).
    queue = play(ROOT / "molecule/app/queue.yml")
    assert queue.returncode == 0, said(queue)
    env = {"REDIS_URL": "unix:///run/valkey-talking/valkey.sock"}
    code, output = deploys.run(**{**settings, "app_env": env, "gunicorn_workers": 2, "gunicorn_threads": 100})
    assert code == 0, output
    tell = "timeout 300 /srv/talking/current/.venv/bin/python -c %s %s"
    assert host.check_output(tell, TELL, urls[0]) == "told ahoy"
