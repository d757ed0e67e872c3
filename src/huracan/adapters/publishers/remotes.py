"""Where champions are published beside the local folder: configured URLs, and the store behind each."""

import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from huracan.adapters.endpoints import loopback_endpoint
from huracan.adapters.publishers.dropbox_store import open_dropbox_store
from huracan.adapters.publishers.objectstore import SCHEMES, ObjectStore, checked_url
from huracan.errors import ConfigError
from huracan.settings import Settings

if TYPE_CHECKING:
    from huracan.ports import RemoteStore

DROPBOX: Final = "dropbox:"


def publish_targets(settings: Settings) -> list[str]:
    """URLs to publish to: those of `publish.urls`, and Dropbox's base path where a Dropbox token is set.

    Raises ConfigError for a URL that no store understands.
    """
    targets = [checked_target(url) for url in settings.publish.urls]
    token = settings.dropbox_access_token or settings.dropbox_refresh_token
    if token is not None and not any(target.startswith(DROPBOX) for target in targets):
        targets.append(checked_target(f"{DROPBOX}{settings.dropbox.base_path}"))
    _refuse_twice(targets)
    return list(dict.fromkeys(targets))


def _refuse_twice(targets: list[str]) -> None:
    """Raise ConfigError for two URLs of one place: the second would find the first's pointer moved, and be FENCED by
    it.
    """
    places: dict[str, str] = {}
    for target in targets:
        place = unicodedata.normalize("NFC", target).lower() if target.startswith(DROPBOX) else target
        if places.setdefault(place, target) != target:
            raise ConfigError(
                f"publish.urls names one folder twice: {places[place]} and {target} (Dropbox does not tell them apart);"
                " keep one of them"
            )


def checked_target(url: str) -> str:
    """The URL in its one form; raises ConfigError, which says what is understood."""
    if url.startswith(DROPBOX):
        path = url.removeprefix(DROPBOX).rstrip("/")
        if not path.startswith("/") or any(part in {"", ".", ".."} for part in path.split("/")[1:]):
            raise ConfigError(f"{url!r}: wanted an absolute Dropbox path such as dropbox:/HuracanEngine")
        return f"{DROPBOX}{path}"
    if url.partition("://")[0] in SCHEMES:
        return checked_url(url)
    raise ConfigError(
        f"{url.split('?', 1)[0]!r} is nothing champions can be published to: wanted s3://bucket/prefix,"
        " gs://bucket/prefix, az://container/prefix or dropbox:/path. A local folder needs no URL: every run writes the"
        " folder store."
    )


def open_remote(url: str, settings: Settings, environ: Mapping[str, str]) -> "RemoteStore":
    """The store behind a URL. Credentials come from the environment; raises ConfigError for a bad URL."""
    target = checked_target(url)
    if not target.startswith(DROPBOX):
        allow_http = loopback_endpoint(environ)
        return ObjectStore(target, deadline_s=settings.publish.operation_s, allow_http=allow_http)
    place = settings.dropbox.model_copy(update={"base_path": target.removeprefix(DROPBOX)})
    return open_dropbox_store(settings.model_copy(update={"dropbox": place}))
