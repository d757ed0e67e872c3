"""Calls of the official SDK: our own deadline and retries instead of its own, errors of ours. Needs the extra
[dropbox].

Errors leave here without their cause: frames of the SDK hold tokens, and some tools print the locals of frames.
"""

import random
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit, urlunsplit

import dropbox
import requests
import stamina
from dropbox import exceptions
from dropbox.stone_validators import ValidationError
from pydantic import SecretStr
from requests.adapters import HTTPAdapter

from huracan.adapters.publishers.dropbox_access import DropboxAccess, DropboxEndpoint, Patience
from huracan.errors import HuracanError, PublishError

LATER: Final = "The set stands in the local store; `huracan publish` takes the upload up again."
_T = TypeVar("_T")


class TransientError(Exception):
    """Worth another try within the deadline, after at least `wait_s`."""

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class DropboxCalls:
    """One client. `run` tries a call until it succeeds, fails for good, or the deadline passes."""

    def __init__(self, access: DropboxAccess, endpoint: DropboxEndpoint, patience: Patience) -> None:
        self._access, self.patience = access, patience
        self._transport = _Transport(endpoint.host)
        ca_file = None if endpoint.ca_file is None else str(endpoint.ca_file)
        session = dropbox.create_session(ca_certs=ca_file)
        # Variables such as REQUESTS_CA_BUNDLE would overrule the authority we were given.
        session.trust_env = False
        session.mount("https://", self._transport)
        self._client = dropbox.Dropbox(
            oauth2_access_token=None if access.refresh_token else _plain(access.access_token),
            oauth2_refresh_token=_plain(access.refresh_token),
            app_key=_plain(access.app_key),
            app_secret=_plain(access.app_secret),
            session=session,
            timeout=patience.answer_s,
            user_agent="huracan",
            max_retries_on_error=0,
            max_retries_on_rate_limit=0,  # None, the default, retries without end
        )

    def deadline(self) -> float:
        """When an operation that starts now has to be done, in monotonic seconds."""
        return time.monotonic() + self.patience.total_s

    def asking(self) -> float:
        """When an operation that only reads has to be done: a store out of reach is known to be, long before an upload
        is given up.
        """
        return time.monotonic() + min(self.patience.total_s, self.patience.asking_s)

    def run(self, what: str, call: Callable[[Any], _T], deadline: float) -> _T:
        """What `call` returns for the client. Raises PublishError naming `what`, or any HuracanError of `call`.

        `call` may raise TransientError; it is then called again.
        """
        self._transport.deadline = deadline
        tries, began = 0, time.monotonic()

        def pause(error: Exception) -> bool | float:
            nonlocal tries
            if not isinstance(error, TransientError):
                return False
            tries += 1
            jitter = random.uniform(
                0, min(self.patience.longest_wait_s, self.patience.first_wait_s * 2.0 ** min(tries, 30))
            )
            wait = error.wait_s + jitter
            return wait if time.monotonic() + wait < deadline else False

        problem = ""
        try:
            for attempt in stamina.retry_context(on=pause, attempts=None, timeout=None):
                with attempt:
                    return self._once(call)
        except TransientError as error:
            problem = str(error)
        raise PublishError(
            f"Dropbox, {what}: {problem} ({tries} tries, deadline {round(deadline - began, 1):g} s). {LATER}"
        )

    def close(self) -> None:
        """Release connections."""
        self._client.close()

    def _once(self, call: Callable[[Any], _T]) -> _T:
        failure: Exception
        try:
            return call(self._client)
        except (HuracanError, TransientError):
            raise
        except exceptions.DropboxException as error:
            failure = self._translated(error)
        except requests.RequestException as error:
            failure = _network_failure(error)
        except (AssertionError, KeyError, ValueError, ValidationError) as error:
            # This is how the SDK says that an answer is not what the API promises.
            failure = TransientError(f"unusable answer ({type(error).__name__})")
        raise failure

    def _translated(self, error: Any) -> Exception:
        if isinstance(error, exceptions.RateLimitError):
            return TransientError(
                f"429 {'/'.join(tags(error.error and error.error.reason))}", float(error.backoff or 0)
            )
        if isinstance(error, exceptions.InternalServerError):
            return TransientError(f"status {error.status_code}")
        if isinstance(error, exceptions.AuthError):
            return PublishError(f"Dropbox refuses the token: {_advice(error.error, self._access)} {LATER}")
        if isinstance(error, exceptions.ApiError):
            return api_failure(tags(error.error))
        text = self._access.scrubbed(str(getattr(error, "message", None) or getattr(error, "body", "")))[:200]
        status = getattr(error, "status_code", "?")
        if "invalid_client" in text:
            text = "the app's key or secret is wrong; check DROPBOX_APP_KEY and DROPBOX_APP_SECRET"
        return PublishError(f"Dropbox refuses the call with status {status}: {text}. {LATER}")


class _Transport(HTTPAdapter):
    """Sends every request to `host` where one is given, and waits for no answer beyond `deadline`."""

    def __init__(self, host: str | None) -> None:
        super().__init__(pool_connections=2, pool_maxsize=2)
        self._host, self.deadline = host, float("inf")

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        if self._host is not None and request.url is not None:
            request.url = urlunsplit(urlsplit(request.url)._replace(netloc=self._host))
        timeout = kwargs.get("timeout")
        if isinstance(timeout, int | float):
            kwargs["timeout"] = max(0.001, min(timeout, self.deadline - time.monotonic()))
        return super().send(request, *args, **kwargs)


def api_failure(found: tuple[str, ...]) -> Exception:
    """What to raise for a route's own error, given its tags."""
    words = "/".join(found)
    if "too_many_write_operations" in found or found[-1:] == ("internal_error",):
        return TransientError(words)
    if any("insufficient" in tag for tag in found):
        return PublishError(
            f"Dropbox is full ({words}): no file was replaced. Free some space or raise the quota. {LATER}"
        )
    if "upload_traffic_limit_reached" in found:
        return PublishError(f"Dropbox: the app's upload limit of this month is used up ({words}). {LATER}")
    if "no_write_permission" in found or "access_restricted" in found:
        return PublishError(
            f"Dropbox: this account may not write to the folder ({words}); see dropbox.base_path. {LATER}"
        )
    return PublishError(f"Dropbox refuses: {words}. {LATER}")


def tags(error: Any) -> tuple[str, ...]:
    """The tag of a union and of those within, outermost first."""
    found: list[str] = []
    while hasattr(error, "_tag"):
        # Stone's unions name their tag nowhere else.
        found.append(error._tag)  # noqa: SLF001
        value = error._value  # noqa: SLF001
        error = getattr(value, "reason", value)
    return tuple(found)


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _network_failure(error: requests.RequestException) -> Exception:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return PublishError(
            "Dropbox's certificate does not verify: something between here and Dropbox answers in its place, or"
            f" dropbox.ca_file is wrong. {LATER}"
        )
    return TransientError(type(error).__name__)


def _advice(error: Any, access: DropboxAccess) -> str:
    if error is not None and error.is_missing_scope():
        scope = error.get_missing_scope().required_scope
        return (
            f"it lacks the scope {scope}. Tick it under Permissions of the app in Dropbox's app console, then make a new"
            " token: old ones keep their old scopes."
        )
    if error is not None and error.is_expired_access_token():
        if access.refresh_token is None:
            return (
                "the access token has expired (they live four hours). Set DROPBOX_REFRESH_TOKEN, DROPBOX_APP_KEY and"
                " DROPBOX_APP_SECRET instead of DROPBOX_ACCESS_TOKEN."
            )
        return "a token refreshed just now is expired already; check this machine's clock and the app's status."
    word = "/".join(tags(error)) or "unknown"
    name = "DROPBOX_ACCESS_TOKEN" if access.refresh_token is None else "DROPBOX_REFRESH_TOKEN"
    return f"{word}. {name} is wrong, revoked, or of another app; make a new one."
