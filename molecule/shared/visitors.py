"""Visitors who never stop: connections that are kept, and every answer held to account.

Each visitor walks in a circle: a page, the style sheet that this page names, its own entry in the book. A connection
is opened again only where the answer before announced its end, which is HTTP (RFC 9112, section 9.6) and which nginx does
after `keepalive_requests`; one that ends in any other way is an error.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import random
import re
import threading
import time
from collections.abc import Iterator

VISITORS = 32
PAUSE_SECONDS = 0.8  # after each answer, on average: a test machine's cores have deploys to do, too
PATIENCE_SECONDS = 60  # only a failure takes so long
NAME = "A visitor"
# Nothing goes on for ever: far above what any journey takes.
MOST_SECONDS = 3600
MOST_ROUNDS = 10_000
RELEASE = re.compile(rb"Served by release <code>([0-9a-f]{12})</code>")
STYLE = re.compile(rb'<link rel="stylesheet" href="([^"]+)">')


class WrongError(Exception):
    """An answer that no visitor should get."""


class Visitors:
    """The visitors of the site at an address, from the start of a `with` to its end.

    prefix: the path of the domain below which the site is. keep: whether connections are kept. A reload of nginx closes those that are idle, as HTTP allows.
    wrong: all that was not as it should be. pages: when (monotonic seconds) a page came, and from which release. written:
    entries that were acknowledged. unknown: entries that were sent, and not acknowledged.
    """

    def __init__(self, address: str, prefix: str = "", *, keep: bool = True) -> None:
        self.address, self.prefix, self.keep = address, prefix, keep
        self.wrong: list[str] = []
        self.pages: list[tuple[float, str]] = []
        self.written: set[str] = set()
        self.unknown: set[str] = set()
        self._state = threading.Condition()
        self._walking, self._over, self._forgiving = True, False, False
        self._hurrying = threading.Event()
        self._under_way = 0
        self._rounds = [0] * VISITORS
        self._began = time.monotonic()
        self._threads = [threading.Thread(target=self._visit, args=[number]) for number in range(VISITORS)]

    def __enter__(self) -> Visitors:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._state:
            self._over = True
            self._state.notify_all()
        self._hurrying.set()
        for thread in self._threads:
            thread.join()

    def releases_since(self, moment: float) -> set[str]:
        """Return the releases that made the pages which came after a moment (time.monotonic()); each visitor has had one."""
        self.all_come_round()
        latest_first = reversed(self.pages.copy())
        return {release for _, release in itertools.takewhile(lambda page: page[0] > moment, latest_first)}

    def all_come_round(self) -> None:
        """Wait until each visitor has begun and ended a round without a fault. None pauses in the meantime."""
        self._hurrying.set()
        with self._state:
            goal = [rounds + 2 for rounds in self._rounds]  # the first may have begun already
            came = self._state.wait_for(
                lambda: all(rounds >= wanted for rounds, wanted in zip(self._rounds, goal, strict=True)),
                4 * PATIENCE_SECONDS,
            )
        self._hurrying.clear()
        assert came, f"no visitor may stay away: {self.wrong[-5:]}"

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """Let each finish its request and wait, its connection open: what is counted now is the whole of it."""
        with self._state:
            self._walking = False
            assert self._state.wait_for(lambda: self._under_way == 0, 2 * PATIENCE_SECONDS), "an answer is overdue"
        try:
            yield
        finally:
            with self._state:
                self._walking = True
                self._state.notify_all()

    @contextlib.contextmanager
    def forgiving(self) -> Iterator[None]:
        """Let the site be away, until each visitor has come round again."""
        self._forgiving = True
        try:
            yield
            self.all_come_round()
        finally:
            self._forgiving = False

    def _visit(self, number: int) -> None:
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE_SECONDS)
        for round_ in range(MOST_ROUNDS):
            if time.monotonic() - self._began > MOST_SECONDS:
                break
            try:
                self._go_round(connection, f"{number}-{round_}")
                with self._state:
                    self._rounds[number] += 1
                    self._state.notify_all()
            except (OSError, http.client.HTTPException, WrongError) as error:
                connection.close()
                if not self._forgiving:
                    self.wrong.append(f"{time.strftime('%H:%M:%S')} {error!r}")
                time.sleep(PAUSE_SECONDS)
            if self._over:
                connection.close()
                return
        self.wrong.append("a visitor went home: MOST_SECONDS or MOST_ROUNDS are over")

    def _go_round(self, connection: http.client.HTTPConnection, entry: str) -> None:
        page = self._send(connection, "GET", f"{self.prefix}/")
        release, style = RELEASE.search(page), STYLE.search(page)
        if not release or not style:
            raise WrongError(f"GET /: no page of the book: {page[:200]!r}")
        self.pages.append((time.monotonic(), release[1].decode()))
        self._send(connection, "GET", style[1].decode())
        self.unknown.add(entry)
        written = json.dumps({"name": NAME, "message": entry})
        answer = self._send(connection, "POST", f"{self.prefix}/api/entries", written)
        if json.loads(answer)["message"] != entry:
            raise WrongError(f"POST {entry}: {answer!r}")
        self.written.add(entry)
        self.unknown.discard(entry)

    def _send(self, connection: http.client.HTTPConnection, method: str, path: str, body: str | None = None) -> bytes:
        with self._state:
            self._state.wait_for(lambda: self._walking or self._over)
            self._under_way += 1
        try:
            try:
                connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
                response = connection.getresponse()
                content = response.read()
                if not self.keep:
                    connection.close()
            except (OSError, http.client.HTTPException) as error:
                raise WrongError(f"{method} {path} {body or ''}: {error!r}") from error
        finally:
            with self._state:
                self._under_way -= 1
                self._state.notify_all()
        if not 200 <= response.status < 300:
            raise WrongError(f"{method} {path} {body or ''}: {response.status} {content[:200]!r}")
        self._hurrying.wait(random.uniform(0.5, 1.5) * PAUSE_SECONDS)  # irregular: else they would come to walk in step
        return content
