"""What the environment tells the application. No other module reads it."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from flask.helpers import get_debug_flag

INSTANCE = Path(__file__).resolve().parent.parent / "instance"
LOCAL_DATABASE_URL = f"sqlite:///{INSTANCE / 'guestbook.db'}"


class SettingsError(RuntimeError):
    """The environment lacks a setting or holds one that makes no sense."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one application; README.md has a table of their variables."""

    secret_key: str
    database_url: str = LOCAL_DATABASE_URL
    upload_folder: Path = INSTANCE / "uploads"
    max_content_length_mb: int = 8
    trusted_proxies: int = 0
    name: str = "guestbook"
    release: str = "dev"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; an empty variable counts as one that is not set.

        Raises SettingsError when one is missing or malformed.
        """
        return cls(
            secret_key=_secret_key(environ),
            database_url=database_url(environ),
            upload_folder=Path(environ.get("UPLOAD_FOLDER") or cls.upload_folder).absolute(),
            max_content_length_mb=_integer(environ, "MAX_CONTENT_LENGTH_MB", cls.max_content_length_mb, at_least=1),
            trusted_proxies=_integer(environ, "TRUSTED_PROXIES", cls.trusted_proxies),
            name=environ.get("APP_NAME") or cls.name,
            release=environ.get("APP_RELEASE") or cls.release,
        )

    @property
    def is_local(self) -> bool:
        """Whether this is a developer's own copy, with the SQLite file nobody had to ask for."""
        return self.database_url == LOCAL_DATABASE_URL and self.release == "dev"


def database_url(environ: Mapping[str, str] = os.environ) -> str:
    """The database's address; the migrations need it and no other setting."""
    return environ.get("DATABASE_URL") or LOCAL_DATABASE_URL


def _secret_key(environ: Mapping[str, str]) -> str:
    if key := environ.get("SECRET_KEY"):
        return key
    is_deployed = environ.get("DATABASE_URL") or environ.get("APP_RELEASE")
    if is_deployed and not get_debug_flag():
        raise SettingsError(
            "SECRET_KEY is not set: sessions and forms cannot be signed. Set it to a long random"
            " value that all workers share, such as the output of: openssl rand -hex 32"
        )
    return secrets.token_hex(32)


def _integer(environ: Mapping[str, str], name: str, default: int, at_least: int = 0) -> int:
    value = environ.get(name) or str(default)
    if not value.isdecimal() or int(value) < at_least:
        raise SettingsError(f"{name} must be a whole number from {at_least} up, not {value!r}")
    return int(value)
