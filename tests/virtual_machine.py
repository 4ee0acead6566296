"""A throwaway Debian 13 server with its own kernel: it can test what a container shares with its host.

Needs root, and the Debian packages in PACKAGES. qemu takes KVM where it can, and else translates every instruction, which
takes minutes in place of seconds; SLIPWAY_ACCELERATOR=tcg has it do that where KVM is there but does not work.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers import first_boot, host, names, recipe, records

PACKAGES = {"mmdebstrap": "mmdebstrap", "qemu-system-x86": "qemu-system-x86_64", "e2fsprogs": "mkfs.ext4"}
BARE = (*recipe.BARE, "initramfs-tools", "linux-image-cloud-amd64", "systemd-resolved")
MEMORY_MB = 2048
BOOT_TIMEOUT_SECONDS = 600  # only a failure takes so long

# Runs in the new system's root, with its path as $1: a root file system with user quotas, as docs/security.md has it.
CUSTOMIZE = """
set -eu
echo '/dev/vda / ext4 usrquota,errors=remount-ro 0 1' > "$1/etc/fstab"
echo quota_v2 >> "$1/etc/initramfs-tools/modules"
chroot "$1" update-initramfs -u > /dev/null
printf '[Match]\\nName=en*\\n[Network]\\nDHCP=yes\\n' > "$1/etc/systemd/network/ethernet.network"
systemctl --root="$1" enable --quiet systemd-networkd systemd-resolved
install -d -m 0700 "$1/root/.ssh"
cat {key} > "$1/root/.ssh/authorized_keys"
{trust}
"""


class VirtualMachineError(Exception):
    """What is missing, or what the machine said when it did not come up."""


def build(folder: Path) -> None:
    """Make the disk, the kernel and its initial file system in a folder."""
    lacks = [package for package, program in PACKAGES.items() if not shutil.which(program)]
    if lacks:
        raise VirtualMachineError(f"apt-get install --no-install-recommends {' '.join(lacks)}")
    root, hook, disk = folder / "root", folder / "customize", folder / "disk"
    trust = (
        f'cat > "$1/trust" <<\'SCRIPT\'\n{first_boot.trust_script()}SCRIPT\nchroot "$1" sh -eu /trust\nrm "$1/trust"'
    )
    hook.write_text("#!/bin/sh\n" + CUSTOMIZE.format(key=names.SSH_KEY.with_suffix(".pub"), trust=trust))
    hook.chmod(0o755)
    include = f"--include={','.join(BARE)}"
    host.run(["mmdebstrap", "--quiet", "--variant=minbase", include, f"--customize-hook={hook}", "trixie", root])
    for name in ("vmlinuz", "initrd.img"):
        (found,) = (root / "boot").glob(f"{name}-*")
        shutil.copy(found, folder / name)
    host.run(["mkfs.ext4", "-q", "-O", "quota", "-d", root, disk, "6G"])
    shutil.rmtree(root)


def free_port() -> int:
    """Return a free port of the loopback address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start(folder: Path, ports: dict[int, int]) -> subprocess.Popen[bytes]:
    """Boot what `build` made; `ports` of the loopback address lead to the machine's own."""
    forwards = "".join(f",hostfwd=tcp:127.0.0.1:{here}-:{there}" for here, there in ports.items())
    argv = [
        "qemu-system-x86_64",
        *("-accel", os.environ.get("SLIPWAY_ACCELERATOR", "kvm"), "-accel", "tcg", "-cpu", "max"),
        *("-m", str(MEMORY_MB), "-smp", "2", "-nodefaults", "-display", "none"),
        *("-kernel", str(folder / "vmlinuz"), "-initrd", str(folder / "initrd.img")),
        *("-append", "root=/dev/vda rw console=ttyS0 quiet"),
        *("-serial", f"file:{folder}/console", "-device", "virtio-rng-pci"),
        *("-drive", f"file={folder}/disk,format=raw,if=virtio,cache=unsafe"),
        *("-netdev", f"user,id=net{forwards}", "-device", "virtio-net-pci,netdev=net"),
    ]
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL)


@contextmanager
def booted() -> Iterator[dict[str, str]]:
    """Boot a machine for as long as it is needed; yield Ansible's host variables, and its `web` address (host:port)."""
    records.ensure_ssh_key()
    ssh, web = free_port(), free_port()
    known = {
        "ansible_host": "127.0.0.1",
        "ansible_port": str(ssh),
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(names.SSH_KEY),
        "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
        "ansible_python_interpreter": "/usr/bin/python3",
        "web": f"127.0.0.1:{web}",
    }
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="slipway-vm-") as temporary:
        folder = Path(temporary)
        build(folder)
        machine = start(folder, {ssh: 22, web: 80})
        try:
            wait_until_booted(machine, known, folder / "console")
            yield known
        finally:
            machine.terminate()
            machine.wait()


def login(known: dict[str, str], *command: str) -> list[str]:
    """Return what runs a command on the machine."""
    options = [
        *known["ansible_ssh_common_args"].split(),
        "-o",
        "ConnectTimeout=60",
        "-o",
        "ServerAliveInterval=30",
        "-p",
        known["ansible_port"],
    ]
    return ["ssh", *options, "-i", str(names.SSH_KEY), "root@127.0.0.1", shlex.join(command)]


def wait_until_booted(machine: subprocess.Popen[bytes], known: dict[str, str], console: Path) -> None:
    """Wait until one can log in and all is started. Raises VirtualMachineError with the console's last lines."""
    deadline = time.monotonic() + BOOT_TIMEOUT_SECONDS
    argv = login(known, "systemctl", "is-system-running", "--wait")
    while (state := host.run(argv, check=False).stdout.strip()) not in ("running", "degraded"):
        if machine.poll() is not None or time.monotonic() > deadline:
            said = console.read_text(errors="replace")[-2000:] if console.exists() else ""
            raise VirtualMachineError(f"The machine did not come up ({state or 'no answer'}):\n{said}")
        time.sleep(1)  # until sshd listens, each attempt is refused at once
