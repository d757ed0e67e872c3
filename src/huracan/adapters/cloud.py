"""A bucket as the place of lake and artefacts: how it is opened, and which failures mean that it does not answer.

Credentials come from the environment as each cloud names them (AWS_*, GOOGLE_*, AZURE_*), or from the machine's role;
an endpoint of one's own from AWS_ENDPOINT_URL. They never pass through settings, plans or jobs.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeVar

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store, from_url

from huracan.adapters.publishers.objectstore import Cloud, checked_url
from huracan.adapters.refusals import Refusal, patiently
from huracan.errors import ConfigError

T = TypeVar("T")

CONNECT_S: Final = 5
REQUEST_S: Final = 60
PATIENCE_S: Final = 120
RETRIES: Final = 10
"""How long and how often one request is repeated while the bucket does not answer."""

_UNANSWERED: Final = re.compile(
    r"Error performing|error sending request|Generic (S3|GCS|MicrosoftAzure) error|necessary privileges|credentials|[Tt]imed out"
)
_NOT_THERE: Final = re.compile(r"404 Not Found|[Nn]ot found|NoSuchKey")


def open_bucket(url: str, *, allow_http: bool = False, repeated: bool = True) -> Cloud:
    """The bucket below a URL's prefix; raises ConfigError for a URL that no store understands.

    The library repeats every request by itself; with `repeated` False it leaves that to `asked`.
    """
    checked = checked_url(url)
    try:
        store = from_url(
            checked,
            client_options={
                "connect_timeout": timedelta(seconds=CONNECT_S),
                "timeout": timedelta(seconds=REQUEST_S),
                "allow_http": allow_http,
            },
            retry_config={"max_retries": RETRIES if repeated else 0, "retry_timeout": timedelta(seconds=PATIENCE_S)},
        )
    except (BaseError, ValueError, TypeError) as error:
        raise ConfigError(f"{checked} cannot be opened: {in_words(error)}") from None
    assert isinstance(store, S3Store | GCSStore | AzureStore)
    return store


def asked(operation: Callable[[], T], patience_s: float | None = None) -> T:
    """The operation's answer, as `patiently` gives it; by default within the patience of lake and artefacts."""
    return patiently(operation, PATIENCE_S if patience_s is None else patience_s)


def table_options(*, allow_http: bool) -> dict[str, str]:
    """What Delta tables are opened with. Commits are conditional writes, which is the default everywhere."""
    return {
        "allow_http": str(allow_http).lower(),
        "connect_timeout": f"{CONNECT_S}s",
        "timeout": f"{REQUEST_S}s",
        "retry_timeout": f"{PATIENCE_S}s",
        "max_retries": str(RETRIES),
    }


def unanswered(error: BaseException) -> bool:
    """Whether a bucket did not answer or refused access: nothing is then known about what it holds."""
    text = str(error)
    return _UNANSWERED.search(text) is not None and _NOT_THERE.search(text) is None


def in_words(error: BaseException) -> str:
    """An error on one line, as `Refusal.sentence`."""
    return Refusal.of(error).sentence()
