"""What an object store's refusal says: its status, the cloud's own code and text, what to do, and whether asking again
can help.

The client library gives all of that in the text of its errors alone, so it is read from there, in this one place.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    InvalidPathError,
    NotSupportedError,
    PreconditionError,
    UnknownConfigurationKeyError,
)

T = TypeVar("T")

CONDITION: Final = (AlreadyExistsError, PreconditionError)
"""How the library says that the condition of a write does not hold."""

_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>([A-Za-z0-9._]{1,80})</Code>")
_MESSAGE: Final = re.compile(r"<Message>([^<]*)")
_EXPECTED_REGION: Final = re.compile(r"expecting '([a-z0-9-]{1,40})'")
_ASKED: Final = re.compile(r"Error performing [A-Z]+ (https?://[^\s?]+)")
_BARE_REDIRECT: Final = "redirect without LOCATION"
_PROXY: Final = "unsupported scheme"
_CAUSE: Final = re.compile(r'InvalidCertificate\(\s*(\w+)|(?:message|error): "([^"]+)"')
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m|↳")
_BODY: Final = re.compile(r"\s*(<\?xml|<Error>|<html).*", re.DOTALL | re.IGNORECASE)
_LIBRARY: Final = "Debug source:"
_REGION_S: Final = 5.0
_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0

_TRANSIENT_STATUS: Final = frozenset({408, 409, 425, 429})
_LASTING_STATUS: Final = frozenset({501, 505, 507, 508, 510, 511})
_CONFLICTS: Final = frozenset({"ConditionalRequestConflict", "OperationAborted"})
"""Two writes met. Amazon asks for the same request once more."""
_TRANSIENT: Final = _CONFLICTS | {"RequestTimeout", "SlowDown", "ServerBusy"}
_REGION_CODES: Final = frozenset(
    {"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"}
)
_RIGHTS: Final = "the credentials in the environment must be allowed to list, read, write and delete below this prefix"
_CLOCK: Final = "this machine's clock differs too much from the store's; synchronise it (NTP)"
_SESSION: Final = (
    "the session token of the credentials is no longer valid; get a new one (AWS_SESSION_TOKEN and its two keys)"
)
_ADVICE: Final = {
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "ExpiredToken": _SESSION,
    "InvalidToken": _SESSION,
    "TokenRefreshRequired": _SESSION,
    "InvalidAccessKeyId": "the store does not know this access key; check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret does not belong to the access key; check AWS_SECRET_ACCESS_KEY",
    "NoSuchBucket": "the bucket does not exist; make it first, Huracan never does",
    "InvalidObjectState": "the file lies in an archive class; restore it, and let no lifecycle rule move files of this prefix",
    "QuotaExceeded": "the store is full; free some space or raise its quota",
}
_STATUS_ADVICE: Final = {
    401: _RIGHTS,
    403: _RIGHTS,
    501: "the server lacks what a store needs (conditional writes among it); use one that has it",
    507: "the store is full; free some space or raise its quota",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One failed request. `status` 0: there was no answer; `code` and `message` are the cloud's, empty where it gave
    none.
    """

    status: int
    code: str
    message: str
    text: str
    """The library's first sentence, on one line, without the body of the answer and the query of any URL (it may hold a
    signature); of what the library adds for its authors only the cause, such as UnknownIssuer.
    """
    redirected: bool
    unusable: bool

    @classmethod
    def of(cls, error: BaseException) -> "Refusal":
        """Read from an error of obstore, delta-rs or polars."""
        text = _COLOUR.sub(" ", str(error))
        outer, _, inner = text.partition(_LIBRARY)
        first, cause = _plain(_BODY.sub("", outer)).rstrip(":")[:300], _CAUSE.search(inner)
        status, code, message = _STATUS.search(text), _CODE.search(text), _MESSAGE.search(text)
        return cls(
            status=int(status[1]) if status else 0,
            code=code[1] if code else "",
            message=_plain(message[1])[:200] if message else "",
            text=first if cause is None else f"{first}: {(cause[1] or cause[2])[:100]}",
            redirected=_BARE_REDIRECT in text,
            unusable=isinstance(error, InvalidPathError | NotSupportedError | UnknownConfigurationKeyError)
            or _PROXY in text,
        )

    @property
    def conflict(self) -> bool:
        """Whether two writes met, which says nothing about what the file holds now."""
        return self.code in _CONFLICTS

    @property
    def lasting(self) -> bool:
        """Whether the same request would be refused again, however often it is repeated."""
        if self.code in _TRANSIENT:
            return False
        if self.redirected or self.unusable or self.status in _LASTING_STATUS:
            return True
        return 400 <= self.status < 500 and self.status not in _TRANSIENT_STATUS

    def advice(self, region: str = "") -> str:
        """What to do about it, empty where nothing is known; `region` is the bucket's where it was found out."""
        if self.code in _REGION_CODES or self.redirected:
            expected = _EXPECTED_REGION.search(self.message)
            found = region or (expected[1] if expected else "")
            wanted = f"AWS_REGION={found}" if found else "AWS_REGION to the bucket's"
            return f"the bucket lies in another region; set {wanted}"
        if _PROXY in self.text:
            return (
                "a variable of the environment (ALL_PROXY, HTTPS_PROXY) names a proxy that is not http:// or https://"
            )
        return _ADVICE.get(self.code) or _STATUS_ADVICE.get(self.status, "")

    def sentence(self, region: str = "") -> str:
        """The cloud's code and message, the advice, and the library's text, on one line."""
        theirs = f"{self.code}: {self.message}" if self.code and self.message else self.code or self.message
        return "; ".join(part.rstrip(".") for part in (theirs, self.advice(region), self.text) if part)


class NothingChangedError(Exception):
    """A conditional write was refused, yet what stands there is what its condition wants: the same write may work
    now.
    """


class GivenUpError(Exception):
    """An operation that does not succeed; `refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal

    def __str__(self) -> str:
        kind = "refused" if self.refusal.lasting else "no answer to work with"
        return f"{kind} ({self.refusal.sentence(bucket_region(self.refusal))})"


def patiently(operation: Callable[[], T], deadline_s: float, sleep: Callable[[float], None] = time.sleep) -> T:
    """The operation's answer, repeated with growing pauses while that can help; it must be safe to repeat.

    Raises FileNotFoundError for what is not there, GivenUpError at the deadline or for a refusal that will not change.
    """
    until, pause = time.monotonic() + deadline_s, _PAUSE_S
    while True:
        try:
            return operation()
        except FileNotFoundError:
            raise
        except (BaseError, OSError, NothingChangedError) as error:
            refusal = Refusal.of(error)
            if refusal.status == 404:  # a listing says so in its own way
                raise FileNotFoundError(str(error)) from None
            lasting = refusal.lasting and not isinstance(error, NothingChangedError)
            if lasting or time.monotonic() + pause > until:
                raise GivenUpError(refusal) from None
        sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


def bucket_region(refusal: Refusal) -> str:
    """The region of a bucket whose store only redirects, by one request without credentials; empty where nothing says
    so.

    Amazon names it in a header of any answer, also of a refusal, and the library keeps only that it was redirected.
    """
    asked = _ASKED.search(refusal.text)
    if not refusal.redirected or asked is None:
        return ""
    import httpx2  # wanted for this one request alone

    try:
        found = httpx2.head(asked[1], timeout=_REGION_S).headers.get("x-amz-bucket-region", "")
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, ImportError):
        return ""
    return found if re.fullmatch(r"[a-z0-9-]{1,40}", found) else ""


def _plain(text: str) -> str:
    """On one line, printable, without the query of any URL (it may hold a signature)."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(re.sub(r"(://[^\s?)]*)\?[^\s)]*", r"\1", printable).split())
