"""Who may look: loopback by default; anything wider only with TLS and a token, for named hosts."""

import base64
import binascii
import hmac
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from huracan.domain.addresses import is_loopback
from huracan.errors import ConfigError

TOKEN_VARIABLE: Final = "HURACAN_DASHBOARD_TOKEN"  # noqa: S105 - the name of the variable, not a token
SHORTEST_TOKEN: Final = 16
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where the page is served and to whom. `hosts` are the names a browser may have called it by, lower case."""

    host: str
    port: int
    hosts: frozenset[str]
    token: SecretStr | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None

    def admits_host(self, header: str | None) -> bool:
        """Whether a Host header names this server: a page of another name that resolves here (rebinding) does not."""
        return header is not None and _name_of(header) in self.hosts

    def admits_token(self, header: str | None) -> bool:
        """Whether an Authorization header carries the token: as Bearer, or as the password of Basic; True without
        one.
        """
        if self.token is None:
            return True
        wanted, seen = self.token.get_secret_value().encode(), _credential(header or "")
        return seen is not None and hmac.compare_digest(seen, wanted)


def checked_access(
    *,
    host: str,
    port: int,
    token: SecretStr | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    allowed_hosts: tuple[str, ...] = (),
) -> Access:
    """Access as configured; raises ConfigError for a host beyond loopback without token, TLS and names, saying what is
    missing.
    """
    if (tls_cert is None) != (tls_key is None):
        raise ConfigError("TLS needs a certificate and its key: dashboard.tls_cert and dashboard.tls_key, both or none")
    if tls_cert is not None and tls_key is not None:
        _check_files(tls_cert, tls_key)
    if token is not None and len(token.get_secret_value()) < SHORTEST_TOKEN:
        raise ConfigError(f"{TOKEN_VARIABLE} is shorter than {SHORTEST_TOKEN} characters; make one with a generator")
    names = {_name_of(name) for name in allowed_hosts}
    if not is_loopback(host):
        _check_wide(host, token=token, tls_cert=tls_cert, names=names)
        names |= set() if is_wildcard(host) else {_name_of(host)}
    else:
        names |= LOOPBACK_NAMES | {_name_of(host)}
    return Access(host=host, port=port, hosts=frozenset(names), token=token, tls_cert=tls_cert, tls_key=tls_key)


def is_wildcard(host: str) -> bool:
    """Whether the address stands for every interface; a name is none."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return host == ""


def _check_wide(host: str, *, token: SecretStr | None, tls_cert: Path | None, names: set[str]) -> None:
    missing = []
    if tls_cert is None:
        missing.append("TLS (dashboard.tls_cert and dashboard.tls_key)")
    if token is None:
        missing.append(f"a token ({TOKEN_VARIABLE} in the environment)")
    if is_wildcard(host) and not names:
        missing.append("the names browsers use for it (dashboard.allowed_hosts)")
    if missing:
        raise ConfigError(
            f"the dashboard would be open to the network on {host or 'every interface'}: wanted {', and '.join(missing)}; "
            "or keep 127.0.0.1 and reach it through `ssh -L`"
        )


def _check_files(cert: Path, key: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except OSError as error:
        raise ConfigError(f"dashboard.tls_cert {cert} and tls_key {key} cannot be used: {error}") from error


def _name_of(header: str) -> str:
    """The host of a Host header, without port, brackets and trailing dot, lower case."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    name = text if text.count(":") > 1 else text.partition(":")[0]
    return name.removesuffix(".")


def _credential(header: str) -> bytes | None:
    kind, _, value = header.partition(" ")
    if kind.lower() == "bearer":
        return value.strip().encode()
    if kind.lower() != "basic":
        return None
    try:
        return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return None
