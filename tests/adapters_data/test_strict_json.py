"""JSON that a lenient reader would take, refused."""

import pytest

from huracan.adapters.binance.strict_json import parse_json
from huracan.errors import UpstreamError


def test_plain_json_is_read():
    assert parse_json('[1, "币", {"a": null, "b": 1.5}]'.encode(), "x") == [1, "币", {"a": None, "b": 1.5}]


@pytest.mark.parametrize(
    "data",
    [
        b"[NaN]",
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e999]",
        b'{"a":1,"a":2}',
        b"\xff\xfe[\x001\x00]\x00",
        b"<!DOCTYPE html><html>",
        b"",
        b"[1",
        b"[" * 100_000,
        b"9" * 5000,
    ],
)
def test_what_is_no_strict_json_is_an_upstream_error(data):
    with pytest.raises(UpstreamError, match="http://x"):
        parse_json(data, "http://x")
