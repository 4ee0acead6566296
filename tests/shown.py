"""Run on a server: what programs show that they have read in configuration that was made of drawn values.

It may differ from what they read with harmless values of the same shape only in that one text is in the place of the other.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

# What bin/serve would run, in the place of the program: the same program's own reader of its arguments and files.
PROGRAMS = {
    # It prints its options when it has read them all, and then goes no further.
    "uwsgi": """#!/bin/sh
exec /srv/tools/bin/uwsgi "$@" --show-config --chroot /nowhere 2>&1
""",
    "granian": """#!/srv/tools/bin/python
import json, sys
from granian.cli import cli
with cli.make_context("granian", sys.argv[1:]) as context:
    print(json.dumps(context.params, default=str))
""",
    "gunicorn": """#!/srv/tools/bin/python
import json
from gunicorn.app.wsgiapp import WSGIApplication
settings = WSGIApplication("%(prog)s").cfg.settings
print(json.dumps({name: setting.get() for name, setting in settings.items()}, default=lambda hook: hook.__qualname__))
""",
}
# In which a text is more than itself, as the operator who writes it there wants it.
NOTATIONS = {"uwsgi": re.compile(r"%|[$@]\("), "supervisor": re.compile("%"), "mod_wsgi": re.compile(r"\$\{")}


def said(*argv: str | Path, **environment: str) -> tuple[int, str]:
    """Run a program; return its exit code and what it printed."""
    done = subprocess.run(
        argv, env={**os.environ, **environment}, capture_output=True, text=True, errors="replace", check=False
    )
    return done.returncode, done.stdout + (done.stderr if done.returncode else "")


def _printed(*argv: str | Path, **environment: str) -> str:
    """Return what a program prints. Raises RuntimeError where it fails."""
    code, output = said(*argv, **environment)
    if code:
        raise RuntimeError(output)
    return output


def _settings(value: object, name: str = "") -> list[str]:
    """Return a line for each value in a structure."""
    if isinstance(value, dict):
        return [line for key, entry in value.items() for line in _settings(entry, f"{name}.{key}")]
    if isinstance(value, list):
        return [f"{name}: {len(value)}", *(line for entry in value for line in _settings(entry, name))]
    return [f"{name} = {value}"]


def _served(folder: Path) -> str:
    """Run bin/serve with PROGRAMS."""
    programs = {**PROGRAMS, "run": '#!/bin/sh\nexec "$@"\n', "python": '#!/bin/sh\nexec /srv/tools/bin/python "$@"\n'}
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder.parent / "release.json").write_text('{"module": "main:app"}')
    return said("sh", folder / "serve", folder / "app.sock", PATH=f"{folder}:{os.environ['PATH']}")[1]


def gunicorn(folder: Path) -> list[str]:
    """Return the settings that gunicorn has; a later check of a value's meaning is not made."""
    output = _served(folder)
    if not output.startswith("{"):
        raise RuntimeError(output)
    return _settings(json.loads(output))


granian = gunicorn  # its own parser of arguments


def uwsgi(folder: Path) -> list[str]:
    """Return the options that uWSGI has."""
    (folder / "serve.py").rename(folder / "uwsgi.serve.py")
    output = _served(folder)
    if not (
        found := re.search(
            r"^;uWSGI instance configuration\n(.*)^;end of configuration$", output, re.MULTILINE | re.DOTALL
        )
    ):
        raise RuntimeError(output)
    return [line for line in found[1].splitlines() if not line.startswith("ini = fd://")]


def mod_wsgi(folder: Path) -> list[str]:
    """Return the directives that Apache reads."""
    run = {"SERVE_FOLDER": str(folder), "SERVE_RELEASE": str(folder.parent), "SERVE_SOCKET": "/s", "SERVE_PROCESS": "1"}
    info = "LoadModule info_module /usr/lib/apache2/modules/mod_info.so"
    command = ("apache2", "-d", folder, "-C", info, "-f", folder / "mod_wsgi.conf", "-t", "-D", "DUMP_CONFIG")
    return [line for line in _printed(*command, **run).splitlines() if not line.lstrip().startswith("#")]


def supervisor(folder: Path) -> list[str]:
    """Return the settings of each program, as Supervisor has them."""
    from supervisor.options import ServerOptions  # Debian's

    written = r"file \"\$conf/\S+\.conf\" << 'END'\n(.*?)^END$"
    config = folder / "supervisord.conf"
    texts = re.findall(written, (folder / "instance").read_text(), re.MULTILINE | re.DOTALL)
    config.write_text("\n".join(["[supervisord]", *texts]))
    options = ServerOptions()
    try:
        options.realize(["--configuration", str(config)])
    except SystemExit:
        raise RuntimeError("supervisord does not take it") from None
    hidden = {"options", "stdout_logfile_maxbytes"}  # the latter is a number to it
    return [
        line
        for group in options.process_group_configs
        for program in group.process_configs
        for line in _settings({name: value for name, value in vars(program).items() if name not in hidden})
    ]


# The folders that it names are there for it alone.
VALKEY = """
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
socket=$(sed -n 's/^unixsocket //p' "$1")
mkdir -p "$(dirname "$socket")" "$(sed -n 's/^dir //p' "$1")"
valkey-server "$1" --user judge on nopass +@all > "$1.log" 2>&1 &
while ! valkey-cli -s "$socket" ping > /dev/null 2>&1; do
  kill -0 $! || { cat "$1.log"; exit 1; }
  sleep 0.02 # between two looks
done
valkey-cli -s "$socket" --user judge --pass x --no-auth-warning CONFIG GET '*'
kill $!
"""


def valkey(folder: Path) -> list[str]:
    """Return the settings that Valkey has, which it tells in any order, each a line for its name and one for its value."""
    told = _printed("unshare", "--mount", "sh", "-euc", VALKEY, "sh", folder / "valkey.conf").splitlines()
    return [f"{name} = {value}" for name, value in sorted(zip(told[::2], told[1::2], strict=True))]


def mail_relay(folder: Path) -> list[str]:
    """Return the settings and services that Postfix has, and the user and password that it finds for its relay."""
    postconf = ("postconf", "-c", folder)
    relay = _printed(*postconf, "-h", "relayhost").strip()
    login = _printed("postmap", "-c", folder, "-q", relay, f"texthash:{folder}/password")
    return [line.strip() for what in ("-n", "-M") for line in _printed(*postconf, what).splitlines()] + [login.strip()]


SHOWS: dict[str, Callable[[Path], list[str]]] = {
    "granian": granian,
    "gunicorn": gunicorn,
    "mail_relay": mail_relay,
    "mod_wsgi": mod_wsgi,
    "supervisor": supervisor,
    "uwsgi": uwsgi,
    "valkey": valkey,
}


def difference(role: str, folder: Path) -> str:
    """Return what a role's program reads otherwise than that texts take the place of harmless ones; empty where nothing is."""
    plain, found = (
        [line.replace(str(one), "<bin>").replace(str(one.parent), "<release>") for line in SHOWS[role](one)]
        for one in (folder / "plain/bin", folder / "bin")
    )
    if len(plain) != len(found):
        return f"{len(plain)} settings became {len(found)}: {set(found) - set(plain)}"
    instead = json.loads((folder / "instead.json").read_text())
    notation = NOTATIONS.get(role, re.compile("(?!)"))
    patterns = {word: ".*" if notation.search(text) else re.escape(text.strip()) for word, text in instead.items()}
    words = re.compile("|".join(sorted(map(re.escape, patterns), key=len, reverse=True)) or "(?!)")
    for before, after in zip(plain, found, strict=True):
        parts = words.split(before.strip())
        expected = re.escape(parts[0])
        for word, part in zip(words.findall(before), parts[1:], strict=True):
            expected += patterns[word] + re.escape(part)
        # Nor does white space count before a value that is only that.
        expected = re.sub(r"(\\\s)+\Z", "", expected)
        if after.strip() != before.strip() and not re.fullmatch(expected, after.strip(), re.DOTALL):
            return f"{after!r} in the place of {before!r}"
    return ""
