"""The image of a bare server: built from its recipe, once, and again when the recipe changes."""

from __future__ import annotations

import shutil

from servers.host import alone, locked, run, say
from servers.names import N
from servers.podman import podman, podman_agrees
from servers.recipe import CUSTOMIZE, DEBIANS, image_name
from servers.session import ensure_keeper


def ensure_image(debian: str) -> None:
    """Build the image, or pull it. Others may use podman while it is built, but none builds the same."""
    image = image_name(debian)
    with alone(N.lock.with_suffix(f".{debian}.lock")):
        with locked():
            ensure_keeper()
            if podman_agrees("image", "exists", image):
                return
            if not image.startswith("localhost/"):
                say(f"Pulling {image}")
                podman("pull", "--quiet", image)
                return
        say(f"Building the image of a bare Debian {debian} (once, about half a minute)")
        build_image(debian, image)


def build_image(debian: str, image: str) -> None:
    """Build an image and give it to podman; older ones of the same release go. Takes the lock."""
    build = N.data / f"build-{debian}"
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir()
    hook, tar = build / "customize", build / "root.tar"
    hook.write_text(f"#!/bin/sh\n{CUSTOMIZE}")
    hook.chmod(0o755)
    try:
        run(
            [
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                f"--include={','.join(DEBIANS[debian].packages)}",
                f"--customize-hook={hook}",
                debian,
                tar,
            ]
        )
        with locked():
            ensure_keeper()
            podman("import", "--quiet", str(tar), image)
            remove_old_images(debian, keep=image)
    finally:
        shutil.rmtree(build, ignore_errors=True)


def remove_old_images(debian: str, keep: str) -> None:
    """Remove a release's images of earlier recipes."""
    names_listed = podman("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
    for name in names_listed:
        if name.startswith(f"localhost/slipway-{debian}:") and name != keep:
            podman("rmi", name, check=False)  # still in use by a server: stays
