"""Whether a place is a folder or a bucket, and whether the buckets of this environment are on this machine."""

import re
from collections.abc import Mapping
from typing import Final

_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_LOOPBACK: Final = re.compile(r"http://(127\.[0-9.]+|localhost|\[::1\])(:[0-9]+)?(/|$)")


def is_url(place: str) -> bool:
    """Whether a place is a bucket's URL and no folder."""
    return "://" in place


def loopback_endpoint(environ: Mapping[str, str]) -> bool:
    """Whether the environment names an object store on this machine; plain HTTP anywhere else would send signed
    requests in the open.
    """
    return any(_LOOPBACK.match(environ.get(name, "")) for name in _ENDPOINTS)
