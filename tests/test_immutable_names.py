"""Which names of static files have a digest of their content: a browser never asks for them again."""

from __future__ import annotations

import re

import pytest
import yaml

from plugin import ROOT

PATTERNS = yaml.safe_load((ROOT / "roles/edge/vars/main.yml").read_text())["edge_static_digest_names"]


def is_immutable(name: str) -> bool:
    """As an edge judges the path of a file."""
    return any(re.search(pattern, f"/static/some.folder-x/{name}") for pattern in PATTERNS)


@pytest.mark.parametrize(
    "name",
    [
        "app.3f9a1c2b.js",  # webpack's [contenthash:8], Parcel, webassets
        "main.3f9a1c2b.chunk.js",  # Create React App
        "main.3f9a1c2b.css.map",
        "787.3f9a1c2b.js",
        "logo.3f9a1c2b.png",
        "base.27e20196a850.js",  # Django, WhiteNoise
        "main-3f9a1c2b4d5e6f70.js",  # Next.js
        "main.3f9a1c2b4d5e6f708192.js",  # webpack's default
        "3f9a1c2b4d5e6f708192.woff2",  # webpack's asset modules
        "0a1b2c3d4e5f6071.js",  # Turbopack
        "app-5d41402abc4b2a76b9719d911017c592.css",  # Flask-Static-Digest, Phoenix
        f"application-{'3f9a1c2b' * 8}.css",  # Sprockets
        "index-B2x9_kQz.js",  # Vite, Rollup
        "index.B2x9_kQz.js",
        "vendor-B2x9kQz7.js.map",
        "logo-C4o8aUwP.svg",
        "chunk-7XZBN4QK.js",  # esbuild, Angular
    ],
)
def test_a_name_with_a_digest_never_changes_its_content(name: str) -> None:
    assert is_immutable(name)


@pytest.mark.parametrize(
    "name",
    [
        "style.css",
        "jquery-ui.min.js",
        "jquery-3.7.1.min.js",
        "bootstrap.bundle.min.js",
        "bootstrap-5.3.2.min.css",
        "font-awesome.min.css",
        "roboto-v30-latin-regular.woff2",
        "Inter-SemiBold.woff2",
        "Inter-BoldItal.woff2",
        "apple-touch-icon-180x180.png",
        "wallpaper-1024x768.jpg",
        "wallpaper-1920x1080.jpg",
        "report-20241105.pdf",
        "report-5feb2024.pdf",
        "report-2024dec1.pdf",
        "report-2024June.svg",
        "photo-12345678.jpg",
        "invoice-1234567890123456.pdf",
        "photo-IMG_2024.jpg",
        "trip-DSC_0042.svg",
        "trip-P1010042.jpg",
        "screen-iPhone15.png",
        "screen-Win11Pro.png",
        "user-BookCard.js",
        "user-PageHTML.js",
        "user-UserAPI2.js",
        "user-HTMLPage.js",
        "sale-SUMMER23.css",
        "logo-Version2.svg",
        "logo-original.svg",
        "icon-Facebook.svg",
        "data-utf8data.css",
        "video-4K_60fps.svg",
        "Inter-Bold_700.woff2",
        "chapter-deadbeef.js",  # might be a word, as it has no digit
        "v12345678.js",
        "avatar-3f9a1c2b-1234-4abc-9def-00112233445f.png",  # a UUID says nothing of the content
        "app.3f9a1c2.js",
        "app.3f9a1c2b1.js",
        "app.3f9a1c2b",
        "3f9a1c2b.js",
    ],
)
def test_a_name_that_people_give_may_change_its_content(name: str) -> None:
    assert not is_immutable(name)
