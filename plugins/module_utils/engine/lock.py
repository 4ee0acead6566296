"""One deploy at a time: the lock on an application's releases, and the log of their outcomes.

<home>/deploy.lock    who deploys, since when, from where, and how far it is (JSON); there while a deploy is under way
<home>/release.log    what became of each: one JSON object a line, only ever appended to
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import ReleaseError
from ansible_collections.slipway.flask.plugins.module_utils.engine.files import replace
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import now

LOG_FIELDS = ("verb", "id", "source", "who", "host")
POLL_SECONDS = 0.1
# A deploy that was killed on the control machine may have left a step running here.
STEP_PATIENCE_SECONDS = 60


class Deploy:
    """The deploy that holds an application's lock.

    home: the application's folder. run: the holder's id; every step of a deploy gives the id it took the lock with.
    """

    def __init__(self, home: str | Path, run: str) -> None:
        self.home = Path(home)
        self.run = run
        self.path = self.home / "deploy.lock"

    @property
    def holder(self) -> dict[str, Any]:
        """The holder of the lock; {} where there is none."""
        try:
            return json.loads(self.path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}

    @property
    def ours(self) -> bool:
        """Whether it is this deploy that holds the lock."""
        return self.holder.get("run") == self.run

    def note(self, **facts: object) -> None:
        """Add facts for the log: id, source, step, outcome, reason."""
        replace(self.path, json.dumps({**self.holder, **facts}) + "\n")

    def take(self, holder: dict[str, Any]) -> None:
        """Become the holder; what the former one had begun is logged as interrupted."""
        if self.path.exists():
            self.log("interrupted")
        replace(self.path, json.dumps({**holder, "run": self.run, "since": now()}) + "\n")

    def ask(self, holder: dict[str, Any], *, instead_of: str = "", force: bool = False) -> dict[str, Any]:
        """Take the lock if it is free; return {} where it was taken, and otherwise its holder.

        instead_of: id of a deploy that is known to have ended. force: take it from any holder. A step of a deploy that has ended
        on the control machine may still run here: its end is waited for. Raises ReleaseError where that takes too long.
        """

        def other() -> dict[str, Any]:
            held = self.holder
            return {} if force or held.get("run") in (self.run, instead_of) else held

        if held := other():
            return held
        with self.alone():
            if not (held := other()):
                self.take(holder)
        return held

    def free(self) -> None:
        """Give the lock back; a deploy that did something is logged."""
        try:
            self.log("interrupted")
        finally:
            self.path.unlink()

    def log(self, otherwise: str) -> None:
        """Append the holder's deploy to the log, where it began a step that changes something."""
        known = self.holder
        if "step" not in known:
            return
        entry: dict[str, Any] = {"time": now(), **{key: known[key] for key in LOG_FIELDS if known.get(key)}}
        entry |= {"outcome": known.get("outcome", otherwise), "step": known["step"], "seconds": now() - known["since"]}
        if "reason" in known:
            entry["reason"] = known["reason"]
        with (self.home / "release.log").open("a") as log:
            os.fchmod(log.fileno(), 0o640)
            log.write(json.dumps(entry) + "\n")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep the steps of other deploys waiting while this one runs (flock(2): the kernel ends it with the process).

        Raises ReleaseError where another step does not end in time.
        """
        folder = os.open(self.home, os.O_RDONLY)
        try:
            deadline = time.monotonic() + STEP_PATIENCE_SECONDS
            while True:
                try:
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise ReleaseError(
                            f"A step of another deploy is still running on the server ({self.holder.get('step', 'unknown')}; "
                            f"waited {STEP_PATIENCE_SECONDS} s for its end). Try again when it has ended."
                        ) from None
                    time.sleep(POLL_SECONDS)
            yield
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """Run one step of the deploy: alone, with the lock held; what fails is noted for the log. Raises ReleaseError."""
        with self.alone():
            if not self.ours:
                other = self.holder
                raise ReleaseError(
                    f"app_lock_break: this deploy's lock was broken by {other.get('who', 'somebody')} from "
                    f"{other.get('host', 'elsewhere')}. Deploy again when no other deploy is running."
                )
            try:
                yield
            except ReleaseError as error:
                self.note(outcome="failed", reason=str(error).splitlines()[0])
                raise
