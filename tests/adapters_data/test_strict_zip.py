"""The zip reader takes what the archive publishes and refuses every damage."""

import io
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.adapters.binance import strict_zip
from huracan.adapters.binance.strict_zip import unzip_single
from huracan.errors import SchemaError

NAME = "BTCUSDT-1m-2025-06.csv"
CSV = b"".join(b"%d,1.0,2.0,0.5,1.5,10.0\n" % (1748736000000 + 60000 * i) for i in range(200))


class Unseekable(io.RawIOBase):
    """Makes zipfile write sizes behind the data."""

    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, chunk):
        self.data += bytes(chunk)
        return len(chunk)


def zipped(content=CSV, name=NAME, method=zipfile.ZIP_DEFLATED, more=(), comment=b"", stream=False):
    target = Unseekable() if stream else io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        archive.writestr(name, content)
        for other in more:
            archive.writestr(other, b"x")
        archive.comment = comment
    return target.data if stream else target.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("content", [CSV, b"", b"x"])
def test_the_only_member_comes_back(method, stream, content):
    assert unzip_single(zipped(content, method=method, stream=stream), NAME) == content


def test_a_non_ascii_name_is_read():
    assert unzip_single(zipped(name="币USDT-1m-2025-06.csv"), "币USDT-1m-2025-06.csv") == CSV


def test_every_truncation_is_refused():
    data = zipped()
    for size in range(len(data)):
        with pytest.raises(SchemaError):
            unzip_single(data[:size], NAME)


@pytest.mark.parametrize("stream", [False, True])
def test_every_flipped_byte_is_refused_or_changes_nothing(stream):
    data = zipped(stream=stream)
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 0x41
        try:
            content = unzip_single(bytes(damaged), NAME)
        except SchemaError:
            continue
        assert content == CSV


@pytest.mark.parametrize(
    "data",
    [
        zipped(more=["other.csv"]),
        zipped(name="other.csv"),
        zipped(comment=b"hello"),
        zipped(method=zipfile.ZIP_BZIP2),
        zipped() + b"x",
        b"x" + zipped(),
        b"",
        b"<html>not found</html>" * 10,
    ],
    ids=["two members", "other name", "comment", "bzip2", "tail", "head", "empty", "html"],
)
def test_any_other_layout_is_refused(data):
    with pytest.raises(SchemaError, match=NAME):
        unzip_single(data, NAME)


def test_a_bomb_is_refused_by_its_stated_size_before_it_is_inflated():
    with pytest.raises(SchemaError, match="caps"):
        unzip_single(zipped(b"0" * 5_000_000), NAME)


def test_a_bomb_that_lies_about_its_size_stops_there():
    honest = zipped(b"0" * 100_000)
    size = (100_000).to_bytes(4, "little")
    assert honest.count(size) == 2
    with pytest.raises(SchemaError):
        unzip_single(honest.replace(size, (1000).to_bytes(4, "little")), NAME)


def test_a_file_beyond_the_cap_is_not_looked_at(monkeypatch):
    monkeypatch.setattr(strict_zip, "MAX_ZIP_BYTES", 100)
    with pytest.raises(SchemaError, match="at most 100"):
        unzip_single(zipped(), NAME)


def test_a_broken_deflate_stream_with_agreeing_headers_is_refused():
    data = bytearray(zipped())
    start = 30 + len(NAME)
    data[start] = 0x07  # a reserved block type
    with pytest.raises(SchemaError):
        unzip_single(bytes(data), NAME)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 9))
def test_whatever_zipfile_writes_is_read_back(content, level):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        archive.writestr(NAME, content)
    assert unzip_single(target.getvalue(), NAME) == content


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutants_are_refused_or_equal(data):
    mutant = bytearray(zipped(stream=data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(mutant) - 1))
        match data.draw(st.sampled_from(["set", "insert", "delete"])):
            case "set":
                mutant[at] = data.draw(st.integers(0, 255))
            case "insert":
                mutant.insert(at, data.draw(st.integers(0, 255)))
            case _:
                del mutant[at]
    try:
        content = unzip_single(bytes(mutant), NAME)
    except SchemaError:
        return
    assert zlib.crc32(content) == zlib.crc32(CSV)
