"""Run, read and copy an application's files with the rights of one of its users, never with root's.

run      a command, as a service of systemd: in a sandbox, and no process of it is left when it is over
act_as   a function of Slipway that walks through the application's files
"""

from __future__ import annotations

import json
import os
import pwd
import re
import select
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

# Where systemd keeps its transient units, and root its files that no other user may read.
RUN = Path("/run")
STOP_SECONDS = 30
MOST_OUTPUT_BYTES = 16 << 20  # root keeps them in memory
# What systemd says about a service in addition to its exit code (systemd.exec(5), $SERVICE_RESULT), where that alone tells the cause.
RESULTS = {
    "oom-kill": "the kernel killed it: out of memory",
    "timeout": "it was stopped: it took too long",
    "resources": "systemd could not start it",
}


def run(
    unit: str,
    argv: list[str],
    *,
    user: str,
    cwd: Path,
    directives: Mapping[str, Any],
    seconds: float,
    environment: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Run a command as its own service; return its exit code and output (both streams).

    unit: the service's name; one of that name that still runs, of a deploy that was killed, is stopped first. directives:
    of its [Service] section; see properties(). environment may hold secrets, argv may not.
    A command that takes longer than `seconds`, or prints more than 16 MiB, is stopped and ends with code 124, as timeout(1)
    has it.
    """
    stop(unit)
    directives = {
        "User": user,
        "Group": user,
        "UMask": "0077",
        "WorkingDirectory": cwd,
        "TimeoutStopSec": STOP_SECONDS,
        "RuntimeMaxSec": seconds + STOP_SECONDS,  # in case the caller has ended and cannot stop it
        **directives,
    }
    # systemd replaces $NAME in a command (systemd.service(5), "Command lines").
    command = [word.replace("$", "$$") for word in argv]
    options = ["--quiet", "--wait", "--pipe", "--service-type=exec", f"--unit={unit}", f"--description={unit}"]
    # Not in argv, nor a property that D-Bus shows to everyone. A fixed name, so that none outlives a deploy that was killed.
    variables = RUN / f"slipway-{unit}.env"
    variables.unlink(missing_ok=True)
    with os.fdopen(os.open(variables, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("".join(f"{name}={quoted(value)}\n" for name, value in (environment or {}).items()))
    try:
        with subprocess.Popen(
            [
                "systemd-run",
                *options,
                *properties(directives),
                f"--property=EnvironmentFile={variables}",
                "--",
                *command,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            output, wrong = read(cast("IO[bytes]", process.stdout).fileno(), seconds)
            if wrong:
                stop(unit)
    finally:
        variables.unlink()
    text = output.decode(errors="replace")
    if wrong:
        return 124, f"{text}\n{wrong}"
    if process.returncode:
        show = ["systemctl", "show", "--property=Result", "--value", unit]
        result = subprocess.run(show, capture_output=True, text=True, check=False).stdout.strip()
        stop(unit)
        text += f"\n{RESULTS[result]}" if result in RESULTS else ""
    return process.returncode, text


def read(pipe: int, seconds: float) -> tuple[bytes, str]:
    """Read a pipe to its end; return what was read, and why it was not read to its end; empty where it was."""
    deadline = time.monotonic() + seconds
    output = bytearray()
    while True:
        if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return bytes(output), f"stopped after {seconds:.0f} seconds"
        chunk = os.read(pipe, 65536)
        output += chunk
        if not chunk:
            return bytes(output), ""
        if len(output) > MOST_OUTPUT_BYTES:
            return bytes(output), f"stopped, as it printed more than {MOST_OUTPUT_BYTES >> 20} MiB"


def properties(directives: Mapping[str, Any]) -> list[str]:
    """Return directives as options of systemd-run: a list entry by entry, and null not at all."""
    listed = {name: value if isinstance(value, list) else [value] for name, value in directives.items()}
    return [f"--property={name}={entry}" for name, entries in listed.items() for entry in entries if entry is not None]


def quoted(value: str) -> str:
    """Return a value as a file of variables has it (systemd.exec(5), EnvironmentFile=)."""
    return '"' + re.sub(r'(["\\\\$`])', r"\\\1", value) + '"'


def stop(unit: str) -> None:
    """End a service that run() began, and forget it. One that is not there is fine."""
    if (RUN / f"systemd/transient/{unit}.service").exists():
        for verb in ("stop", "reset-failed"):
            subprocess.run(["systemctl", verb, unit], capture_output=True, check=False)


def extend(directives: Mapping[str, Any], **more: Sequence[str | Path]) -> dict[str, Any]:
    """Return directives with further entries of some of them."""
    given = {name: directives.get(name, []) for name in more}
    listed = {name: value if isinstance(value, list) else [value] for name, value in given.items()}
    return {**directives, **{name: [*listed[name], *entries] for name, entries in more.items()}}


def act_as(user: str, function: Callable[[], Any]) -> Any:
    """Call a function in a process that has a user's own rights; return what it returns (anything that JSON can say).

    Raises OSError as the function does; other errors of it end in RuntimeError.
    """
    account = pwd.getpwnam(user)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(writer, "w") as pipe:
                pipe.write(_answer(user, account.pw_uid, account.pw_gid, function))
        finally:
            os._exit(0)  # nothing of what the parent has begun is ended here
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    answer = json.loads(text or '{"error": "it ended before its time"}')
    if "result" in answer:
        return answer["result"]
    if answer.get("errno"):
        raise OSError(answer["errno"], answer["error"])
    raise RuntimeError(answer["error"])


def _answer(user: str, uid: int, gid: int, function: Callable[[], Any]) -> str:
    """Give up root for good, call the function, and return its result or error as JSON."""
    try:
        os.initgroups(user, gid)
        os.setgid(gid)
        os.setuid(uid)
        os.umask(0o027)
        return json.dumps({"result": function()})
    except OSError as error:
        return json.dumps({"errno": error.errno, "error": str(error)})
    except Exception as error:
        return json.dumps({"error": f"{type(error).__name__}: {error}"})
