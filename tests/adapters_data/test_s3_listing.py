"""The archive's list is read whole and in order, or refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.adapters.binance.http import ARCHIVE_BUCKET_URL, list_url
from huracan.adapters.binance.s3_listing import ListedFile, read_page
from huracan.errors import UpstreamError
from huracan.settings import BinanceSettings

PREFIX = "data/spot/monthly/klines/"
URL = "http://127.0.0.1/"


def entry(key, *, size="7", tag="&quot;abc&quot;", more=""):
    return f"<Contents><Key>{key}</Key><ETag>{tag}</ETag><Size>{size}</Size>{more}</Contents>"


def page(*entries, prefix=PREFIX, cut="false", more=""):
    head = f"<Prefix>{prefix}</Prefix><IsTruncated>{cut}</IsTruncated>{more}"
    return f"<?xml version='1.0'?><ListBucketResult xmlns='x'>{head}{''.join(entries)}</ListBucketResult>".encode()


def read(body, after=""):
    return read_page(body, PREFIX, after, URL)


def test_a_page_is_files_folders_and_where_to_go_on():
    known = "<Owner><ID>1</ID></Owner><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    folder = f"<CommonPrefixes><Prefix>{PREFIX}币USDT/</Prefix></CommonPrefixes>"
    found = read(page(entry(f"{PREFIX}a&amp;b", more=known), folder, more="<Name>x</Name><Marker></Marker>"))
    assert found.files == (ListedFile(key=f"{PREFIX}a&b", size=7, stamp="abc/7"),)
    assert (found.folders, found.after) == ((f"{PREFIX}币USDT/",), None)


def test_a_page_that_is_cut_goes_on_behind_its_last_key_or_where_it_says():
    assert read(page(entry(f"{PREFIX}a"), entry(f"{PREFIX}b"), cut="true")).after == f"{PREFIX}b"
    named = page(entry(f"{PREFIX}a"), cut="true", more=f"<NextMarker>{PREFIX}x</NextMarker>")
    assert read(named).after == f"{PREFIX}x"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + page(),
        page().replace(b"<?xml version='1.0'?>", b"<!DOCTYPE ListBucketResult SYSTEM 'http://127.0.0.1/x.dtd'>"),
        page(entry(f"{PREFIX}&a;")),
        page(prefix="data/"),
        page(cut="maybe"),
        page(cut="true"),
        page(entry(f"{PREFIX}a"), cut="true", more="<NextMarker></NextMarker>").replace(PREFIX.encode() + b"a", b"a"),
        page(entry("elsewhere/a")),
        page(entry(f"{PREFIX}b"), entry(f"{PREFIX}a")),
        page(entry(f"{PREFIX}a"), entry(f"{PREFIX}a")),
        page(entry(f"{PREFIX}a", size="-1")),
        page(entry(f"{PREFIX}a", size="9" * 20)),
        page(entry(f"{PREFIX}a", tag="")),
        page(entry(f"{PREFIX}a", more="<Size>8</Size>")),
        page("<Contents><Key>a</Key></Contents>"),
        page(entry(f"{PREFIX}a"))[:-30],
        page(more="<a><b><c><d><e></e></d></c></b></a>"),
        b"<Error><Code>AccessDenied</Code></Error>",
    ],
)
def test_any_other_answer_is_upstream(body):
    with pytest.raises(UpstreamError, match="no S3 listing"):
        read(body)


def test_a_page_that_does_not_move_on_is_upstream():
    with pytest.raises(UpstreamError):
        read(page(entry(f"{PREFIX}a")), after=f"{PREFIX}a")
    with pytest.raises(UpstreamError, match="goes on"):
        read(page(cut="true", more=f"<NextMarker>{PREFIX}a</NextMarker>"), after=f"{PREFIX}b")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_mutant_is_upstream_or_keeps_the_order_of_its_keys(data):
    body = bytearray(page(entry(f"{PREFIX}a"), entry(f"{PREFIX}b")))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        keys = [file.key for file in read(bytes(body)).files]
    except UpstreamError:
        return
    assert keys == sorted(set(keys))
    assert all(key.startswith(PREFIX) for key in keys)


def test_the_list_is_where_it_was_said_to_be_or_with_the_real_bucket_or_with_the_files():
    assert list_url(BinanceSettings()) == ARCHIVE_BUCKET_URL
    assert list_url(BinanceSettings(archive_url="http://127.0.0.1:1")) == "http://127.0.0.1:1"
    assert list_url(BinanceSettings(listing_url="http://127.0.0.1:2")) == "http://127.0.0.1:2"
    with pytest.raises(ValueError, match="user name"):
        BinanceSettings(listing_url="http://me:secret@127.0.0.1")
