"""HTTPS as a visitor has it: to an address, for a name that this machine's DNS does not know, judged by a CA of the test's."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509

from probe import DEADLINE_SECONDS, Answer

READERS = 4
PAUSE_SECONDS = 0.1
# Nothing goes on for ever: far above what any test takes.
MOST_REQUESTS = 20_000


@dataclass(frozen=True)
class Secure:
    """A site on HTTPS. root: the CA that a visitor trusts, as PEM; empty for one who trusts everybody."""

    address: str
    domain: str
    root: str = ""

    def context(self) -> ssl.SSLContext:
        """Return what a visitor demands."""
        if not self.root:
            return ssl._create_unverified_context()
        context = ssl.create_default_context(cadata=self.root)
        # Pebble's root is not self-issued with all that newer OpenSSL wants to see.
        context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
        return context

    @contextlib.contextmanager
    def connect(self, context: ssl.SSLContext | None = None) -> Iterator[ssl.SSLSocket]:
        """Open a TLS connection. A name that is an address is not sent, as no client sends it."""
        with (
            socket.create_connection((self.address, 443), DEADLINE_SECONDS) as raw,
            (context or self.context()).wrap_socket(raw, server_hostname=self.domain) as secure,
        ):
            yield secure

    def ask(self, path: str, **headers: str) -> Answer:
        """Send one request on a connection of its own."""
        with self.connect() as sock:
            connection = http.client.HTTPConnection(self.domain)
            connection.sock = sock
            connection.request("GET", path, headers={"Host": self.domain, "Connection": "close", **headers})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def certificate(self) -> x509.Certificate:
        """Return the certificate that is shown."""
        with self.connect() as sock:
            return x509.load_der_x509_certificate(sock.getpeercert(binary_form=True) or b"")

    def names(self) -> list[str]:
        """Return the host names and addresses of the certificate that is shown."""
        found = self.certificate().extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return found.get_values_for_type(x509.DNSName) + list(map(str, found.get_values_for_type(x509.IPAddress)))


class Readers:
    """Visitors of a site over HTTPS, from the start of a `with` to its end: each request has a new connection.

    wrong: all that was not as it should be. count: of the answers that were.
    """

    def __init__(self, *sites: Secure) -> None:
        self.wrong: list[str] = []
        self.count = 0
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._read, args=[site]) for site in sites for _ in range(READERS)]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _read(self, site: Secure) -> None:
        for _ in range(MOST_REQUESTS):
            if self._over.is_set():
                return
            try:
                answer = site.ask("/")
                if answer.status == 200:
                    self.count += 1
                else:
                    self.wrong.append(f"{site.domain}: {answer.status}")
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(f"{time.strftime('%H:%M:%S')} {site.domain}: {error!r}")
            self._over.wait(PAUSE_SECONDS)
        self.wrong.append("a reader went home: MOST_REQUESTS are over")
