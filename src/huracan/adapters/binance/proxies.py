"""Proxies that the environment names, looked at before a client is made of them: the library fails in ways of its
own.
"""

from importlib.util import find_spec
from typing import Final
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies

import httpx2

from huracan.errors import ConfigError

_KINDS: Final = ("http", "https", "all")
_SOCKS: Final = ("socks5", "socks5h")


def proxy_variables() -> dict[str, str]:
    """The variable that names a proxy, by the scheme of the URLs it is for.

    Raises ConfigError for a proxy of another kind, for one that is no URL, and for SOCKS without its package.
    `NO_PROXY` may hold anything: entries that say nothing are passed over.
    """
    given = getproxies()
    variables: dict[str, str] = {}
    for kind in _KINDS:
        if value := given.get(kind):
            variables[kind] = f"{kind.upper()}_PROXY"
            _check(variables[kind], value)
    return variables


def proxy_advice(url: str, variables: dict[str, str]) -> str:
    """What to look at beside the host when a connection for this URL fails; empty where no proxy is named."""
    variable = variables.get(urlsplit(url).scheme) or variables.get("all")
    return f"; {variable} names a proxy, which may be the one that does not answer" if variable else ""


def _check(variable: str, value: str) -> None:
    """Raise ConfigError, without the value: a proxy's URL may hold a password."""
    wanted = f"wanted http://host:port (or https, or socks5), or {variable} not set; NO_PROXY excepts hosts"
    parts = _parts(value if "://" in value else f"http://{value}")
    if parts is None:
        raise ConfigError(f"{variable} in the environment is no URL of a proxy; {wanted}")
    if parts.scheme in _SOCKS and find_spec("socksio") is None:
        raise ConfigError(
            f"{variable} in the environment names a SOCKS proxy ({parts.scheme}://{parts.hostname}), which needs a package"
            f" that is not installed: pip install socksio; or use an HTTP proxy, or leave {variable} out"
        )
    if parts.scheme not in {"http", "https", *_SOCKS}:
        raise ConfigError(f"{variable} in the environment names a proxy of the kind {parts.scheme!r}; {wanted}")


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        httpx2.URL(url)  # the client's own parser refuses some more names
        usable = (
            bool(parts.hostname) and (parts.port is None or parts.port > 0) and url.isprintable() and " " not in url
        )
    except (ValueError, httpx2.InvalidURL):
        return None
    return parts if usable else None
