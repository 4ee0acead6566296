"""Several applications below one domain (`app_mounted_below`): whether they can be where they are said to be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

# slipway/below-guestbook/+shop@tides.conf (roles/edge/vars/main.yml, edge_below_file)
FILE = re.compile(r"/slipway/below-(?P<owner>[^/]+)/(?P<path>[^/@]*)@(?P<site>[^/@]+)\.conf$")


class Site(NamedTuple):
    """What has a path of a domain."""

    owner: str  # the site whose domain it is
    path: str  # "" is the whole of it
    site: str


def sites_of(files: Iterable[str]) -> list[Site]:
    """Return the sites that a server's files tell of; other paths are passed over."""
    found = (FILE.search(file) for file in files)
    return [Site(one["owner"], one["path"].replace("+", "/"), one["site"]) for one in found if one]


def sites_below(files: Iterable[str], owner: str) -> list[str]:
    """Return the names of the sites that are below the domain of another."""
    return sorted(one.site for one in sites_of(files) if one.owner == owner != one.site)


def _no_owner(below: str, host: str, *, elsewhere: bool) -> str:
    """Return what is said where the domain is not in the web server that `edge` names. elsewhere: whether another on the host has it."""
    if elsewhere:
        return (
            f"edge: on {host} the domain of {below} (app_mounted_below) is in another web server than the one that edge names here. Set edge "
            f"to what the inventory of {below} has."
        )
    return (
        f"app_mounted_below: {host} has no application {below} with a domain of its own. Run the site.yml of {below} first, or set "
        "app_mounted_below to the app_name of the environment that has the domain."
    )


def below_complaints(files: Sequence[str], site: str, *, below: str, path: str, host: str, root: str) -> list[str]:
    """Return why a site cannot be at a path of a domain: sentences, none where it can.

    files: paths of a server's files; below: whose domain it is, "" is the site's own; host: the server, as a message calls it;
    root: the folder of the edge that the site is to have, such as /etc/nginx.
    """
    here = [file for file in files if file.startswith(f"{root}/")]
    known = sites_of(here)
    said = []
    if below and (below, below) not in {(one.owner, one.site) for one in known}:
        said.append(
            _no_owner(below, host, elsewhere=below in {one.site for one in sites_of(files) if one.owner == below})
        )
    said += [
        f"app_url_prefix: {path} of {below or site}'s domain is taken by {one.site} on {host}. Choose another path, or move {one.site} "
        "first."
        for one in known
        if (one.owner, one.path) == (below or site, path) and one.site != site
    ]
    others = sites_below(files if below else set(files).difference(here), site)
    if others:
        cause = (
            f"app_mounted_below: {site} would give up its own domain"
            if below
            else f"edge: {site} would move to another web server"
        )
        said.append(
            f"{cause}, and on {host} these applications are below that domain and cannot come along: {', '.join(others)}. First remove each, "
            "or give it a domain of its own: take app_mounted_below out of its inventory, set app_domains there, and run its site.yml."
            + ("" if below else f" Once {site} has moved, they can be below it again, with the same edge.")
        )
    return said


def name_complaints(names: Iterable[str], owner: str, known: Sequence[str]) -> list[str]:
    """Return which names of a site are not those of the one below whose domain it is: a sentence, none where all are."""
    others = [name for name in names if name not in known]
    if not others:
        return []
    return [
        f"app_domains: {', '.join(others)} is not among the domains of {owner}, which this site shares (app_mounted_below). Set app_domains "
        f"to [{', '.join(known)}]; or add it to app_domains of {owner} first, and run the site.yml of {owner}."
    ]


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filters by the names they have in templates."""
        return {"below_complaints": below_complaints, "name_complaints": name_complaints, "sites_below": sites_below}
