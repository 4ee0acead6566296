"""Throwaway Debian servers: system containers with systemd as PID 1 and sshd, run by podman.

This is the only place that knows podman. Everything else reaches a server over SSH, as it would
reach a real one.

    python3 tools/servers image trixie               build the image (once; again when its recipe changes)
    python3 tools/servers up demo --debian trixie    boot a server, print its address
    python3 tools/servers ssh demo [COMMAND...]      log in, or run a command
    python3 tools/servers vars demo                  its host variables for Ansible, as JSON
    python3 tools/servers create FILE a:trixie ...   boot several, write an Ansible inventory of them
    python3 tools/servers reboot demo                restart it: same address
    python3 tools/servers down demo                  remove it (--all: every server of this checkout; purge: images, too)
    python3 tools/servers list | address demo | inventory demo...
    python3 tools/servers host                       install the Debian packages this needs

Every name given on the machine derives from one prefix (SLIPWAY_PREFIX, or a hash of the
checkout's path), so that two checkouts never meet. Needs root; needs nothing but Python's
standard library and the Debian packages in tools/servers/host.py.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

# `python3 tools/servers` has Python look for modules in this folder; the package is in the one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from servers.containers import down, down_all, reboot, up
from servers.host import install_missing_packages, locked, require_host, write_whole
from servers.image import ensure_image
from servers.names import N, SetupError
from servers.recipe import DEBIANS, image_name
from servers.records import inventory, known_servers, server
from servers.session import release_if_unused


def command_host(_: argparse.Namespace) -> None:
    """Installs the Debian packages that servers need, or says which."""
    install_missing_packages()
    require_host()


def command_prefix(_: argparse.Namespace) -> None:
    """Prints what every name on the machine begins with."""
    print(N.prefix)


def command_image(options: argparse.Namespace) -> None:
    """Builds the image of a bare server, if it is not there."""
    require_host()
    ensure_image(options.debian)
    with locked():
        release_if_unused()
    print(image_name(options.debian))


def command_up(options: argparse.Namespace) -> None:
    """Boots a server and prints its address."""
    require_host()
    print(up(options.name, options.debian).address)


def command_create(options: argparse.Namespace) -> None:
    """Boots servers side by side, and writes an inventory of them."""
    require_host()
    wanted = [word.partition(":") for word in options.servers]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda each: up(each[0], each[2]), wanted))
    write_whole(Path(options.inventory), inventory([name for name, _, _ in wanted]))


def command_down(options: argparse.Namespace) -> None:
    """Removes servers."""
    require_host()
    if options.all:
        down_all()
    else:
        down(options.names, options.logs)


def command_purge(_: argparse.Namespace) -> None:
    """Removes every server and the images: nothing of this checkout stays on the machine."""
    require_host()
    down_all()
    with locked():
        shutil.rmtree(N.data, ignore_errors=True)


def command_reboot(options: argparse.Namespace) -> None:
    """Restarts servers; their addresses stay."""
    require_host()
    with ThreadPoolExecutor() as pool:
        list(pool.map(reboot, options.names))


def command_ssh(options: argparse.Namespace) -> NoReturn:
    """Logs in, or runs a command."""
    command = server(options.name).ssh_command(*options.words)
    os.execvp(command[0], command)  # noqa: S606 - a list of arguments needs no shell


def command_address(options: argparse.Namespace) -> None:
    """Prints a server's address."""
    print(server(options.name).address)


def command_vars(options: argparse.Namespace) -> None:
    """Prints a server's host variables for Ansible, as JSON."""
    print(json.dumps(server(options.name).host_variables(), indent=2))


def command_inventory(options: argparse.Namespace) -> None:
    """Prints an Ansible inventory of servers, as JSON."""
    print(inventory(options.names), end="")


def command_list(_: argparse.Namespace) -> None:
    """Prints each server's name, Debian release and address."""
    for machine in known_servers().values():
        print(f"{machine.name}\t{machine.debian}\t{machine.address}")


def parser() -> argparse.ArgumentParser:
    """Return the parser: the help of each verb is the docstring of its function."""
    layout = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(prog="python3 tools/servers", description=__doc__, formatter_class=layout)
    commands = top.add_subparsers(required=True)

    def add(act: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        name = act.__name__.removeprefix("command_")
        command: argparse.ArgumentParser = commands.add_parser(name, help=act.__doc__)
        command.set_defaults(act=act)
        return command

    add(command_host)
    add(command_prefix)
    add(command_image).add_argument("debian", choices=DEBIANS)
    command = add(command_up)
    command.add_argument("name")
    command.add_argument("--debian", choices=DEBIANS, default="trixie")
    command = add(command_create)
    command.add_argument("inventory", help="the file to write")
    command.add_argument("servers", nargs="+", metavar="NAME:DEBIAN")
    command = add(command_down)
    command.add_argument("names", nargs="*")
    command.add_argument("--all", action="store_true", help="every server of this checkout")
    command.add_argument("--logs", type=Path, metavar="FOLDER", help="write there what each logged last (NAME.log)")
    add(command_purge)
    add(command_reboot).add_argument("names", nargs="+")
    command = add(command_ssh)
    command.add_argument("name")
    command.add_argument("words", nargs=argparse.REMAINDER)
    add(command_address).add_argument("name")
    add(command_vars).add_argument("name")
    add(command_inventory).add_argument("names", nargs="+")
    add(command_list)
    return top


def main() -> NoReturn:
    """Do what the arguments say. A SetupError is one message on stderr, and exit code 1."""
    # Where a user's PATH has no programs for administrators.
    os.environ["PATH"] = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
    try:
        options = parser().parse_args()
        options.act(options)
    except SetupError as problem:
        sys.exit(f"servers: {problem}")
    sys.exit(0)


if __name__ == "__main__":
    main()
