"""JSON from outside means one thing or is refused."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huracan.domain.strict import strict_json
from huracan.errors import BundleFormatError

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "data",
    [
        b"NaN",
        b"[Infinity]",
        b"1e999",
        b'{"a": -1e999}',
        b'{"a": 1, "a": 2}',
        b'{"b": {"a": 1, "\\u0061": 2}}',
        b"[" * 33 + b"]" * 33,
        b"[" * 100_000,
        b'"\\ud800"',
        b"\xff\xfe[\x001\x00]\x00",
        b"\xef\xbb\xbf[]",
        b"[1,]",
        b"",
        b"1" * 5000,
        b'{"a": 1} x',
    ],
)
def test_ambiguous_or_hostile_text_is_refused(data):
    with pytest.raises(BundleFormatError, match="manifest"):
        strict_json(data, 200_000, what="manifest")


def test_text_beyond_the_limit_is_refused_before_it_is_read():
    with pytest.raises(BundleFormatError, match="at most 3 allowed"):
        strict_json(b"[1]x", 3)


def test_thirty_two_levels_are_read():
    assert strict_json(b"[" * 32 + b"]" * 32, 100)


@pytest.mark.slow
@given(VALUES)
def test_what_the_standard_writer_writes_is_read_back(value):
    try:
        data = json.dumps(value).encode()
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    assert strict_json(data, 10**6) == value


@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_the_declared_error(data):
    with contextlib.suppress(BundleFormatError):
        strict_json(data, 100)
