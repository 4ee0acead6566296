"""What a program reads in its configuration: its words, in their order. What separates them (a brace, a section) is a tuple."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import crossplane

Words = list[str | tuple[str, ...]]


def _lines(text: str) -> Words:
    return list(text.splitlines())


def nginx(text: str) -> Words:
    """Read a file of nginx's. Source: crossplane for the words, ngx_conf_read_token for what a backslash means in them."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(text)
        file.flush()
        found = [(word, quoted) for word, _, quoted in crossplane.lex(file.name)]
    meant = {"t": "\t", "r": "\r", "n": "\n"}
    return [
        (word,)
        if word in {"{", "}", ";"} and not quoted
        else re.sub(r"\\([\"'\\trn])", lambda match: meant.get(match[1], match[1]), word)
        for word, quoted in found
        if quoted or not word.startswith("#")
    ]


def _apache_words(rest: str) -> Iterator[str]:
    """Yield the words of a line. Source: ap_getword_conf (server/util.c)."""
    rest = rest.strip()
    while rest:
        if rest[0] in "\"'":
            quote = rest[0]
            found = re.match(rf"{quote}((?:\\[\\{quote}]|[^{quote}])*)({quote}|\Z)", rest, re.DOTALL)
            assert found is not None
            yield re.sub(rf"\\([\\{quote}])", r"\1", found[1])
        else:
            found = re.match(r"\S+", rest)
            assert found is not None
            yield found[0].replace("\\\\", "\\")
        rest = rest[found.end() :].lstrip()


def apache(text: str) -> Words:
    """Read a file of Apache's. ${NAME} is the value of something else before anything is read."""
    words: Words = []
    for line in re.sub(r"\\\n", "", text).splitlines():
        line = re.sub(r"\$\{(?!(?:APACHE|SERVE)_|types:)([^}]*)\}", r"<value of \1>", line.strip())
        if line and not line.startswith("#"):
            is_container = line.startswith("<") and line.endswith(">")
            words += [("<",) if is_container else ("line",), *_apache_words(line[1:-1] if is_container else line)]
    return words


def sections(text: str, comments: str = "#;") -> Words:
    """Read a file of lines NAME=VALUE in [sections], as systemd, uWSGI and certbot do. A backslash joins the next line."""
    words: Words = []
    for line in re.sub(r"\\\n", " ", text).split("\n"):
        line = line.strip()
        if line and line[0] not in comments:
            name, sign, value = line.partition("=")
            words += [(line,)] if line.startswith("[") else [(name.strip(), sign), value.strip()]
    return words


def supervisor(text: str) -> Words:
    """Read a file of Supervisor's, with its own reader."""
    from supervisor.options import UnhosedConfigParser

    parser = UnhosedConfigParser()
    parser.read_string(text)
    return [
        word
        for name in parser.sections()
        for word in ((name,), *(x for item in parser.items(name, raw=True) for x in item))
    ]


def postgresql(text: str) -> Words:
    """Read postgresql.conf. Source: GUC_scanstr and guc-file.l."""
    words: Words = []
    simple = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
    for line in text.splitlines():
        found = re.fullmatch(r"\s*([\w.]+)\s*=?\s*(?:'((?:[^'\\]|\\.|'')*)'|([^\s#']+))\s*(?:#.*)?", line)
        if found:
            value = re.sub(r"\\([0-7]{1,3}|.)", lambda match: simple.get(match[1], match[1]), found[2] or "")
            words += [(found[1],), value.replace("''", "'") if found[2] is not None else found[3]]
        elif line.strip() and not line.lstrip().startswith("#"):
            words.append((f"cannot be read: {line}",))
    return words


def _leaves(value: object) -> Iterator[str]:
    """Yield the texts in a value of Python's, and how many there are at each level."""
    if isinstance(value, dict):
        value = [part for item in value.items() for part in item]
    if isinstance(value, list):
        yield str(len(value))
        for part in value:
            yield from _leaves(part)
    else:
        yield value if isinstance(value, str) else repr(value)


def python(text: str) -> Words:
    """Read a file of assignments in Python."""
    words: Words = []
    for node in ast.parse(text).body:
        assert isinstance(node, ast.Assign)
        words += [(ast.unparse(node.targets[0]),), *_leaves(ast.literal_eval(node.value))]
    return words


def _run(program: str, files: dict[str, str], *arguments: str) -> str:
    """Run a program of the shell's in a folder with some files and programs; return what it prints."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.write_text(content)
            path.chmod(0o755)
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            ["sh", "-euc", program, folder, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done
        return done.stdout


def environment(text: str) -> Words:
    """Read what bin/run reads: the environment that a file leaves."""
    found = _run("set -a; . ./env; env -0", {"env": text}).split("\0")
    return [
        word
        for line in sorted(found)
        if not re.match("(PWD|OLDPWD|SHLVL|_)=", line)
        for word in ((line.partition("=")[0],), line.partition("=")[2])
    ]


SHOW = "#!/bin/sh\nprintf '%s\\0' \"$@\"\n"


def program(text: str) -> Words:
    """Read what bin/program runs, for each name."""
    names = re.findall(r"^  ([a-z]\w*)\)$", text, re.MULTILINE)
    return [word for name in names for word in _run('./program "$1"', {"program": text, "run": SHOW}, name).split("\0")]


def granian(text: str) -> Words:
    """Read what bin/serve runs."""
    found = _run("./serve /nowhere/app.sock", {"serve": text, "run": SHOW}).split("\0")
    return list(found[:-2])  # the last is a path of this test's


def _written(text: str, calls: str) -> str:
    """Return the files that an instance program would write, one after the other."""
    functions = text.rpartition("\ncase ${1:-} in\n")[0].partition("\nset -eu\n")[2]
    write = 'file() { printf "\\n[file]\\n"; cat; }; unit() { file; }; systemctl() { :; }; cmp() { return 0; }; rm() { :; }\n'
    functions = re.sub(r"^(?:unit|file)\(\) \{\n.*?^\}$", "", functions, flags=re.MULTILINE | re.DOTALL)
    return _run(f"set -eu; {write}{functions}\n{calls}", {})


def systemd_instance(text: str) -> Words:
    """Read the units that bin/instance writes."""
    return sections(_written(text, "write_slice; write_units"))


def supervisor_instance(text: str) -> Words:
    """Read the programs that bin/instance gives to Supervisor."""
    return supervisor(
        _written(text, "write_web; ! type write_workers > /dev/null || write_workers").replace("\n[file]\n", "\n")
    )


def words(text: str) -> Words:
    """Read what white space separates. A comment holds a digest of the whole."""
    return list(re.sub(r'comment "\w+"', "", text).split())


class _Page(HTMLParser):
    """Elements of a page, and the text between them."""

    def __init__(self) -> None:
        super().__init__()
        self.words: Words = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element."""
        self.words.append((tag, *map(str, attrs)))

    def handle_data(self, data: str) -> None:
        """Take a text."""
        self.words.append(data)


def page(text: str) -> Words:
    """Read what a browser reads in a page."""
    parser = _Page()
    parser.feed(text)
    parser.close()
    return parser.words


READERS: dict[str, Callable[[str], Words]] = {
    "nginx": nginx,
    "apache": apache,
    "mod_wsgi.conf": apache,
    "instance systemd": systemd_instance,
    "instance supervisor": supervisor_instance,
    "uwsgi.ini": sections,
    "certbot.ini": lambda text: sections(text),
    "unit.conf": sections,
    "slipway.conf": postgresql,
    "gunicorn.conf.py": python,
    "env": environment,
    "program": program,
    "serve granian": granian,
    "build_env": lambda text: [json.dumps(json.loads(text), sort_keys=True)],
    "rules.nft": words,
    "service": sections,
    "valkey.conf": words,
    "error.html": page,
    "maintenance.html": page,
}


def read(role: str, name: str, text: str) -> Words:
    """Return what the program that a role's file is for reads in it."""
    for key in (name, role, f"{name} {role}"):
        if key in READERS:
            return READERS[key](text)
    return _lines(text)
