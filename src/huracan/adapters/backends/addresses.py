"""Which scheduler, cluster and bind addresses are safe to use: loopback, or encrypted and authenticated."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from huracan.domain.addresses import is_loopback
from huracan.errors import BackendError

TLS_FILES: Final = ("CA_FILE", "CLIENT__CERT", "CLIENT__KEY")
_TLS: Final = "DASK_DISTRIBUTED__COMM__TLS__"


def host_and_port(address: str) -> tuple[str, int]:
    """The parts of a checked address."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    return host.strip("[]"), int(port)


def checked_dask_address(address: str, environ: Mapping[str, str] | None = None) -> str:
    """``tcp://host:port`` on loopback or ``tls://host:port``; raises BackendError for anything open or malformed.

    Whoever reaches a Dask scheduler may run code on it. TLS files come from Dask's own variables.
    """
    environ = os.environ if environ is None else environ
    scheme, found, rest = address.partition("://")
    scheme, rest = (scheme, rest) if found else ("tcp", address)
    host = _host(rest, address, "tcp://127.0.0.1:8786 or tls://scheduler.example:8786")
    if scheme not in {"tcp", "tls"}:
        raise BackendError(f"Dask address {address}: {scheme}:// is not supported; wanted tcp:// or tls://")
    if scheme == "tcp" and not is_loopback(host):
        raise BackendError(
            f"Dask address {address} is open to the network without TLS: anybody there could run code; "
            f"start scheduler and workers with --protocol tls, use tls://{rest}, and set {', '.join(_variables())}"
        )
    if scheme == "tls":
        missing = [name for name in _variables() if not Path(environ.get(name, "")).is_file()]
        if missing:
            raise BackendError(f"Dask address {address} needs TLS files; set {', '.join(missing)} to existing files")
    return f"{scheme}://{rest}"


def checked_ray_address(address: str, environ: Mapping[str, str] | None = None) -> str:
    """``host:port`` of a head on loopback, or of any head with token authentication; raises BackendError otherwise."""
    environ = os.environ if environ is None else environ
    if address.startswith("ray://"):
        raise BackendError(
            f"Ray address {address}: the Ray Client is not supported; run Huracan on a machine of the cluster and give "
            "its head as host:port (such as 127.0.0.1:6379)"
        )
    host = _host(address, address, "127.0.0.1:6379")
    if not is_loopback(host) and not _has_ray_token(environ):
        raise BackendError(
            f"Ray address {address} is open to the network without a token: anybody there could run code; start the "
            "cluster with RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH (or RAY_AUTH_TOKEN), and set both here"
        )
    return address


def checked_bind(host: str, *, protected: bool = False) -> str:
    """A host to listen on: loopback, or any other where TLS or a token protects it; raises BackendError otherwise."""
    if not is_loopback(host) and not protected:
        raise BackendError(
            f"refusing to listen on {host or 'every interface'} without TLS or a token; wanted 127.0.0.1 or ::1"
        )
    return host


def _variables() -> list[str]:
    return [f"{_TLS}{name}" for name in TLS_FILES]


def _has_ray_token(environ: Mapping[str, str]) -> bool:
    if environ.get("RAY_AUTH_MODE", "").lower() != "token":
        return False
    path = environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(environ.get("RAY_AUTH_TOKEN")) or bool(path and Path(path).is_file())


def _host(rest: str, address: str, wanted: str) -> str:
    host, _, port = rest.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536 or "/" in rest or "@" in rest:
        raise BackendError(f"{address!r} is not an address; wanted such as {wanted}")
    return host
