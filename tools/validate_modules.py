#!/usr/bin/env python3
"""The linter of ansible-core for modules, and ansible-doc: what the documentation says is what the module takes.

ansible-test would run the first in its own environment, for which it downloads pip. Source: ansible-core 2.19,
ansible_test/_internal/commands/sanity/validate_modules.py.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import ansible_test
import yaml

ROOT = Path(__file__).resolve().parents[1]
COLLECTIONS = ROOT / ".collections"
COLLECTION = Path("ansible_collections/slipway/flask")
VALIDATE = Path(ansible_test.__file__).parent / "_util/controller/sanity/validate-modules/validate.py"
# It asks for the licence of Ansible itself; this one is in LICENSE.
NOT_OURS = {"missing-gplv3-license"}


def is_the_action_s(path: str, said: str) -> bool:
    """Whether an option that the module does not take is one of the action plugin of the same name, which does."""
    option = re.match(r"Argument ('\w+') is listed in DOCUMENTATION.options, but not accepted", said)
    action = ROOT / "plugins/action" / Path(path).name
    return bool(option and action.exists() and option[1].replace("'", '"') in action.read_text())


def validate(version: str) -> list[str]:
    """Return what the linter says of each module."""
    options = ["--format", "json", "--arg-spec", "--collection", str(COLLECTION), "--collection-version", version]
    done = subprocess.run(
        [sys.executable, str(VALIDATE), *options, "plugins/modules"],
        cwd=COLLECTIONS / COLLECTION,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)},
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.stdout.startswith("{"):
        return [done.stdout + done.stderr]
    return [
        f"{path}:{error.get('line') or 1}: {error['code']}: {error['msg']}"
        for path, found in json.loads(done.stdout).items()
        for error in found["errors"]
        if error["code"] not in NOT_OURS and not is_the_action_s(path, error["msg"])
    ]


def document(names: list[str]) -> list[str]:
    """Return what ansible-doc says of modules that it cannot show, or of which it has no examples."""
    command = [str(Path(sys.executable).with_name("ansible-doc")), "--type", "module", "--json", *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        return [done.stderr]
    known = json.loads(done.stdout)
    bare = [f"{name}: ansible-doc has no examples" for name in names if not known.get(name, {}).get("examples")]
    return [*done.stderr.splitlines(), *bare]


def main() -> None:
    """Print what is wrong, and end with 1 where something is."""
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
    names = [f"slipway.flask.{path.stem}" for path in sorted((ROOT / "plugins/modules").glob("*.py"))]
    wrong = validate(version) + document(names)
    print("\n".join(wrong) or f"{len(names)} modules are documented as they are.")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
