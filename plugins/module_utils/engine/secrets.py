"""What only the build of a release is told: variables such as a token, and a key that reads private git repositories.

<home>/next/build_env            JSON, values by name
<home>/next/build_deploy_key     a private key as ssh(1) reads it; empty where there is none
<home>/next/build_known_hosts    the keys of the hosts that it is used for, as ssh(1) reads them

All three are for root alone, and part of neither the release nor its id.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

NAMES = ("build_env", "build_deploy_key", "build_known_hosts")
# A shorter value is not a secret, and masking it would take a word out of every line.
SHORTEST = 8
PASSWORD = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")
# systemd gives a service a copy of its credentials that only its user can read (systemd.exec(5), LoadCredential=). No
# configuration, agent or other key counts.
SSH = (
    'ssh -F none -i "$CREDENTIALS_DIRECTORY/build_deploy_key" -o IdentitiesOnly=yes -o IdentityAgent=none -o BatchMode=yes '
    '-o StrictHostKeyChecking=yes -o UserKnownHostsFile="$CREDENTIALS_DIRECTORY/build_known_hosts" -o GlobalKnownHostsFile=none'
)


def environment(stage: Path) -> dict[str, str]:
    """Return the build's own variables; with a deploy key, that git uses it."""
    with_key = {"GIT_SSH_COMMAND": SSH} if credentials(stage) else {}
    return {**with_key, **{name: str(value) for name, value in json.loads((stage / "build_env").read_text()).items()}}


def credentials(stage: Path) -> list[str]:
    """Return the directives LoadCredential= of the service that builds; none without a deploy key."""
    if not (stage / "build_deploy_key").read_text().strip():
        return []
    return [f"{name}:{stage / name}" for name in NAMES[1:]]


def masked(text: str, values: Iterable[str]) -> str:
    """Return a text without the values in it, their lines, and the passwords of URLs among them; short ones stay."""
    secrets = {word for value in values for word in (value, *value.splitlines(), *PASSWORD.findall(value))}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, "********")
    return text
