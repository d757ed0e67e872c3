"""One app and its tokens: a refresh token that lives, access tokens that expire, scopes."""

import base64
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from huracan.domain.json import JsonObject
from huracan.worlds.dropbox.refusals import RefusedError, bad_request, unauthorized

ALL_SCOPES: Final = frozenset({"account_info.read", "files.metadata.read", "files.content.read", "files.content.write"})


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """Credentials the server accepts, what the app may do, and how long an access token lives."""

    key: str = "app-key"
    secret: str = field(default="app-secret", repr=False)
    refresh_token: str = field(default="refresh-token", repr=False)
    scopes: frozenset[str] = ALL_SCOPES
    lifetime_s: float = 14_400.0


class Tokens:
    """Access tokens given out for an app."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.refreshed = 0
        self._expiry: dict[str, float] = {}
        self._guard = threading.Lock()

    def issue(self) -> str:
        """A new access token."""
        token = f"sl.{secrets.token_urlsafe(24)}"
        with self._guard:
            self._expiry[token] = time.monotonic() + self.app.lifetime_s
        return token

    def expire(self) -> None:
        """Let every access token be expired from now on."""
        with self._guard:
            self._expiry = dict.fromkeys(self._expiry, 0.0)

    def refresh(self, form: Mapping[str, str], authorization: str | None) -> JsonObject:
        """The token endpoint's answer; the secret may be left out, as with PKCE, but not be wrong."""
        key, secret = form.get("client_id", ""), form.get("client_secret")
        if authorization is not None and authorization.startswith("Basic "):
            key, _, secret = base64.b64decode(authorization[6:]).decode().partition(":")
        if key != self.app.key or secret not in {None, self.app.secret}:
            text = "Invalid client_id or client_secret"
            raise RefusedError(400, {"error": "invalid_client", "error_description": text})
        if form.get("grant_type") != "refresh_token":
            raise RefusedError(400, {"error": "unsupported_grant_type"})
        if form.get("refresh_token") != self.app.refresh_token:
            text = "refresh token is invalid or revoked"
            raise RefusedError(400, {"error": "invalid_grant", "error_description": text})
        self.refreshed += 1
        return {
            "access_token": self.issue(),
            "expires_in": int(self.app.lifetime_s),
            "token_type": "bearer",
            "scope": " ".join(sorted(self.app.scopes)),
        }

    def check(self, route: str, authorization: str | None, scope: str) -> None:
        """Raise what the API answers when this header may not call a route that needs this scope."""
        if authorization is None:
            raise bad_request(route, 'Must provide HTTP header "Authorization" or URL parameter "authorization".')
        kind, _, token = authorization.partition(" ")
        if kind != "Bearer" or not token or not token.replace(".", "").replace("-", "").replace("_", "").isalnum():
            # The real service repeats what it was given: a client must not log this text.
            raise bad_request(route, f'Invalid authorization value in HTTP header "Authorization": "{authorization}".')
        with self._guard:
            expiry = self._expiry.get(token)
        if expiry is None:
            raise unauthorized("invalid_access_token")
        if time.monotonic() >= expiry:
            raise unauthorized("expired_access_token")
        if scope not in self.app.scopes:
            raise unauthorized("missing_scope", required_scope=scope)
