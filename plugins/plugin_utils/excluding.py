"""What of an application's source stays on the control machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from ansible_collections.slipway.flask.plugins.plugin_utils.files import SourceError
from ansible_collections.slipway.flask.plugins.plugin_utils.git import git

# What a folder has and no release needs: secrets of this machine, what is installed or made again, databases.
NEVER_TRAVELS = (
    *(".env*", "!.env.example", "!.env.sample", "!.env.template", "!.env.dist"),
    *("venv", ".venv", "node_modules"),
    *("__pycache__/", ".mypy_cache/", ".nox/", ".pytest_cache/", ".ruff_cache/", ".tox/"),
    *("*.db", "*.db-*", "*.sqlite*", ".dev-postgresql"),
)


def matching(names: Iterable[str], patterns: Sequence[str]) -> dict[str, str]:
    """Return the names that patterns in the notation of .gitignore leave out, each with the pattern that does."""
    if not patterns:
        return {}
    with tempfile.TemporaryDirectory() as temporary:
        git("init", "--quiet", "--template=", temporary)
        file = Path(temporary, ".git/patterns")
        file.write_text("\n".join(patterns))
        question = ["check-ignore", "--no-index", "--verbose", "-z", "--stdin"]
        text = b"".join(b"./%s\0" % os.fsencode(name) for name in names)  # ./ as a colon would begin "pathspec magic"
        try:
            said = git(*question, cwd=Path(temporary), settings=[f"core.excludesFile={file}"], text=text)
        except SourceError as error:
            if str(error):
                raise
            return {}  # git's exit code where nothing matches
    words = os.fsdecode(said).split("\0")  # file, line, pattern, name
    return {
        name.removeprefix("./"): pattern
        for pattern, name in zip(words[2::4], words[3::4], strict=True)
        if not pattern.startswith("!")
    }


def unneeded(names: set[str], exclude: Sequence[str]) -> dict[str, str]:
    """Return the names that no release needs, and those that `exclude` adds, each with what names it."""
    virtualenvs = {name.removesuffix("pyvenv.cfg") for name in names if name.endswith("/pyvenv.cfg")}
    return {
        **{name: folder for folder in virtualenvs for name in names if name.startswith(folder)},
        **matching(names, [*NEVER_TRAVELS, *exclude]),
    }


def left_out(tracked: set[str], untracked: set[str], exclude: Sequence[str]) -> dict[str, str]:
    """Return the names that do not travel, each with what names it.

    What git tracks was put there on purpose, and travels from a URL too: of that, only what `exclude` names stays behind.
    """
    return {**unneeded(untracked, exclude), **matching(tracked, exclude)}
