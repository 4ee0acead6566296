"""What clients of the CA really reach: it passes all on to Pebble, and has the faults and the clock that a test wants.

SETTINGS is read at each request, and may have:

ahead      seconds that the CA's clock is ahead of this machine's
lifetime   seconds that certificates last, from the CA's time on. They are then of the CA whose certificate is /etc/authority/ca.pem;
           Pebble, whose clock cannot be set, is not asked to do that. Renewal info (ARI) is off then
renewal    [from, to]: what the renewal info of any certificate says, in seconds from the CA's time
fault      {"down": true}: closes each connection without an answer
           {"status": 429, "type": "rateLimited", "detail": ..., "retry_after": ...}: answers so to who wants a certificate
           {"hold": 3}: does not answer the third of its POST requests (then HELD is there), until the fault is taken away
"""

from __future__ import annotations

import datetime
import email.utils
import http.client
import http.server
import json
import ssl
import threading
import time
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

FOLDER = Path("/etc/authority")
SETTINGS = Path("/run/authority.json")
HELD = Path("/run/authority-held")
PEBBLE = ("127.0.0.1", 14001)
# The connection's own, and those that are written here.
NOT_PASSED_ON = {"connection", "content-length", "date", "keep-alive", "transfer-encoding"}


def settings() -> dict[str, Any]:
    """Return what a test wants."""
    try:
        found: dict[str, Any] = json.loads(SETTINGS.read_text())
    except FileNotFoundError:
        return {}
    return found


def moment(seconds: float) -> datetime.datetime:
    """Return the CA's time in so many seconds."""
    return datetime.datetime.fromtimestamp(round(time.time() + settings().get("ahead", 0) + seconds), datetime.UTC)


def issue_again(chain: bytes, lifetime: float) -> bytes:
    """Return the certificate of a chain as the CA issues it by its own clock."""
    ca = x509.load_pem_x509_certificate((FOLDER / "ca.pem").read_bytes())
    key: Any = serialization.load_pem_private_key((FOLDER / "ca.key").read_bytes(), None)
    given = x509.load_pem_x509_certificates(chain)[0]
    builder = x509.CertificateBuilder(
        ca.subject, given.subject, given.public_key(), given.serial_number, moment(0), moment(lifetime)
    )
    for extension in given.extensions:
        if not isinstance(extension.value, x509.AuthorityKeyIdentifier):
            builder = builder.add_extension(extension.value, extension.critical)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
    )
    issued = builder.sign(key, hashes.SHA256())
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (issued, ca))


class Front(http.server.BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    # How many POST requests came since a fault began, which holds one of them.
    posts = 0

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the CA's time for the header Date."""
        return email.utils.format_datetime(moment(0), usegmt=True)

    def do_GET(self) -> None:
        """Answer a request."""
        wanted = settings()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = wanted.get("fault", {})
        if fault.get("down"):
            self.close_connection = True
            return
        if self.command == "POST":
            self.hold(fault)
        if "status" in fault and self.path == "/order-plz":
            problem = {"type": f"urn:ietf:params:acme:error:{fault['type']}", "detail": fault["detail"]}
            headers = {"Content-Type": "application/problem+json"}
            if "retry_after" in fault:
                headers["Retry-After"] = fault["retry_after"]
            self.answer(fault["status"], headers, json.dumps(problem).encode())
        elif "renewal" in wanted and self.path.startswith("/draft-ietf-acme-ari"):
            window = dict(
                zip(("start", "end"), (f"{moment(one):%Y-%m-%dT%H:%M:%SZ}" for one in wanted["renewal"]), strict=True)
            )
            info = {"suggestedWindow": window}
            self.answer(200, {"Content-Type": "application/json", "Retry-After": "21600"}, json.dumps(info).encode())
        else:
            self.pass_on(body, wanted)

    do_HEAD = do_POST = do_GET  # noqa: N815 - the names that BaseHTTPRequestHandler looks for

    def hold(self, fault: dict[str, Any]) -> None:
        """Keep a client waiting where it is its turn."""
        Front.posts = Front.posts + 1 if "hold" in fault else 0
        if "hold" in fault and Front.posts == fault["hold"]:
            HELD.touch()
            while settings().get("fault") == fault:
                time.sleep(0.05)  # between two looks at whether the test is done with this request
            HELD.unlink()

    def pass_on(self, body: bytes, wanted: dict[str, Any]) -> None:
        """Give the request to Pebble, and its answer to the client."""
        pebble = http.client.HTTPSConnection(*PEBBLE, context=ssl._create_unverified_context(), timeout=60)
        pebble.request(self.command, self.path, body, dict(self.headers.items()))
        answer = pebble.getresponse()
        content = answer.read()
        pebble.close()
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in NOT_PASSED_ON}
        if "lifetime" in wanted and answer.status == 200:
            if headers.get("Content-Type", "").startswith("application/pem-certificate-chain"):
                content = issue_again(content, wanted["lifetime"])
            elif self.path.startswith("/dir"):
                directory = json.loads(content)
                directory.pop("renewalInfo", None)
                content = json.dumps(directory).encode()
        self.answer(answer.status, headers, content)

    def answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        """Answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *said: object) -> None:
        """Log a line, which the journal keeps."""
        print(str(said[0]) % said[1:], flush=True)


class Server(http.server.ThreadingHTTPServer):
    """Speaks TLS with each client in the thread of its own."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    daemon_threads = True

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands, and answer."""
        request.settimeout(600)
        super().finish_request(self.context.wrap_socket(request, server_side=True), client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client went away."""
        print(f"a connection of {client_address[0]} ended before its answer", flush=True)


if __name__ == "__main__":
    threading.stack_size(512 * 1024)
    Server.context.load_cert_chain(FOLDER / "api.pem", FOLDER / "api.key")
    Server(("", 14000), Front).serve_forever()
