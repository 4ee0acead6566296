"""What a hosting company does to a new server: our key, its name, and whom this host trusts."""

from __future__ import annotations

import shlex
import textwrap
from pathlib import Path

from servers.names import SSH_KEY
from servers.records import Server


def first_boot_script(machine: Server) -> str:
    """Return a shell script for root on a new server. It waits until systemd is up, and lets us log in."""
    home = "/root" if machine.user == "root" else f"/home/{machine.user}"
    key = SSH_KEY.with_suffix(".pub").read_text().strip()
    script = f"""\
    set -eu
    # Early in a boot systemd still mounts and empties /tmp under the programs started below.
    tries=0
    until systemctl is-system-running --wait 2>/dev/null | grep -qE 'running|degraded'; do
      tries=$((tries + 1))
      [ $tries -lt 300 ] || {{ journalctl -n 30 >&2; exit 1; }}
      sleep 0.1
    done
    echo '127.0.1.1 {machine.name}' >> /etc/hosts
    install -d -m 0700 -o {machine.user} -g {machine.user} {home}/.ssh
    echo {shlex.quote(key)} > {home}/.ssh/authorized_keys
    chown {machine.user}:{machine.user} {home}/.ssh/authorized_keys
    chmod 0600 {home}/.ssh/authorized_keys
    """
    return textwrap.dedent(script) + trust_script()


def trust_script() -> str:
    """Return a shell script that has a server trust what this host was told to trust, in pip and uv too; or nothing."""
    certificates = sorted(Path("/usr/local/share/ca-certificates").glob("**/*.crt"))
    if not certificates:
        return ""
    lines = []
    for number, certificate in enumerate(certificates):
        target = f"/usr/local/share/ca-certificates/host-{number}.crt"
        lines.append(f"cat > {target} <<'END'\n{certificate.read_text().strip()}\nEND")
    lines += [
        "update-ca-certificates >/dev/null",
        "bundle=/etc/ssl/certs/ca-certificates.crt",
        # pip and uv bring bundles of their own: system-wide settings reach them however they are started, also with a
        # cleaned environment.
        r'printf "[global]\ncert = $bundle\n" > /etc/pip.conf',
        "mkdir -p /etc/uv",
        'echo "system-certs = true" > /etc/uv/uv.toml',
    ]
    return "\n".join(lines) + "\n"
