"""How Dropbox is reached: credentials, another host for tests, and how long to be patient."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from huracan.errors import ConfigError
from huracan.settings import SECRETS, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class DropboxAccess:
    """A refresh token with its app (better: access tokens end after four hours), or an access token."""

    access_token: SecretStr | None = None
    refresh_token: SecretStr | None = None
    app_key: SecretStr | None = None
    app_secret: SecretStr | None = None

    def __post_init__(self) -> None:
        if self.refresh_token is not None and self.app_key is None:
            raise ConfigError(
                "DROPBOX_REFRESH_TOKEN is set without DROPBOX_APP_KEY; a refresh token needs its app's key"
            )
        if self.refresh_token is None and self.access_token is None:
            raise ConfigError(
                "no Dropbox credentials: set DROPBOX_REFRESH_TOKEN, DROPBOX_APP_KEY and DROPBOX_APP_SECRET in the"
                " environment (or DROPBOX_ACCESS_TOKEN, which ends after four hours)"
            )

    @classmethod
    def from_settings(cls, settings: Settings) -> "DropboxAccess":
        """The credentials of a configuration."""
        return cls(
            access_token=settings.dropbox_access_token,
            refresh_token=settings.dropbox_refresh_token,
            app_key=settings.dropbox_app_key,
            app_secret=settings.dropbox_app_secret,
        )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], access_token: SecretStr | None = None) -> "DropboxAccess":
        """The credentials of an environment; an access token given in person counts before all of them."""
        if access_token is not None:
            return cls(access_token=access_token)
        given = {field: SecretStr(environ[name]) for name, field in SECRETS.items() if environ.get(name)}
        return cls(
            access_token=given.get("dropbox_access_token"),
            refresh_token=given.get("dropbox_refresh_token"),
            app_key=given.get("dropbox_app_key"),
            app_secret=given.get("dropbox_app_secret"),
        )

    def scrubbed(self, text: str) -> str:
        """A text of the service without anything secret in it, also not tokens we were given meanwhile."""
        for secret in (self.access_token, self.refresh_token, self.app_key, self.app_secret):
            if secret is not None and secret.get_secret_value():
                text = text.replace(secret.get_secret_value(), "***")
        return re.sub(r"(?i)\b(bearer|basic)\s+[^\s\"']+|\bsl\.[\w.-]+", "***", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class DropboxEndpoint:
    """Where the API is: all of it on one host (``host:port``), trusted by this authority. None: the real one."""

    host: str | None = None
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds: for one answer, for one operation of the store with all its retries, for one that only reads (of a
    listing, for one page), and between tries.
    """

    answer_s: float = 60.0
    total_s: float = 1800.0
    asking_s: float = 120.0
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0


def checked_base_path(path: str) -> str:
    """The path without a slash at its end; ConfigError unless it is absolute and plain."""
    if not path.startswith("/") or "//" in path or ".." in path.split("/"):
        raise ConfigError(f"dropbox.base_path is {path!r}, wanted an absolute path such as '/HuracanEngine'")
    return path.rstrip("/")
