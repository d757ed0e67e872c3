"""Archive first, REST for the rest: what is asked, what is trusted, what is refused."""

import hashlib
import io
import json
import zipfile
from dataclasses import replace
from itertools import pairwise

import polars as pl
import pytest

from huracan.adapters.binance.plan import LATE_DAYS
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS, day_iso, parse_iso, utc_day
from huracan.errors import ChecksumError, DataError, SchemaError, UpstreamError
from huracan.ports import FetchedFile

pytestmark = pytest.mark.slow

HOUR_BARS = HOUR_MS
START = parse_iso("2026-03-30")
END = parse_iso("2026-04-02T06:00:00Z")
NOW = END + 20 * MINUTE_MS
LISTED = parse_iso("2026-03-20")
UM = Instrument(
    market="um", symbol="币USDT", base="币", quote="USDT", contract_type="PERPETUAL", listed_ms=parse_iso("2026-03-20")
)
SPOT = Instrument(market="spot", symbol="SOLUSDT", base="SOL", quote="USDT")


def row(time, unit=1):
    price = 100 + (time // HOUR_BARS) % 7
    close = (time + HOUR_BARS) * unit - 1
    return [
        time * unit,
        str(price),
        str(price + 1),
        str(price - 1),
        f"{price}.5",
        "10",
        close,
        "1000",
        5,
        "4",
        "400",
        "0",
    ]


class Exchange:
    """Hourly bars on the loopback server: an archive (monthly and daily) and REST with the unclosed bar."""

    def __init__(self, loopback, instrument, listed=LISTED, now=NOW):
        self.server, self.instrument, self.listed, self.now = loopback, instrument, listed, now
        prefix = "api/v3" if instrument.market == "spot" else "fapi/v1"
        self.klines, self.funding_rate = f"{prefix}/klines", "fapi/v1/fundingRate"
        loopback.answers["api/v3/time"] = json.dumps({"serverTime": now}).encode()
        loopback.answers[self.klines] = self.page
        loopback.answers[self.funding_rate] = self.funding_page
        self.requests = loopback.requests

    def page(self, query):
        start, limit = int(query["startTime"]), int(query.get("limit", 500))
        end = int(query.get("endTime", self.now))
        first = max(start, self.listed)
        times = range(-(-first // HOUR_BARS) * HOUR_BARS, min(end, self.now) + 1, HOUR_BARS)
        return json.dumps([row(time) for time in times[:limit]]).encode()

    def funding_page(self, query):
        start, end = int(query["startTime"]), int(query["endTime"])
        times = range(-(-max(start, self.listed) // (8 * HOUR_MS)) * 8 * HOUR_MS, min(end, self.now) + 1, 8 * HOUR_MS)
        return json.dumps([{"symbol": "x", "fundingTime": t + 5, "fundingRate": "0.0001"} for t in times]).encode()

    def folder(self, period):
        market = "spot" if self.instrument.market == "spot" else "futures/um"
        return f"data/{market}/{period}/klines/{self.instrument.symbol}/1h"

    def publish(self, period, label, first, after, *, change=None):
        name = f"{self.instrument.symbol}-1h-{label}"
        unit = 1000 if self.instrument.market == "spot" else 1
        times = range(max(first, self.listed), after, HOUR_BARS)
        text = "\n".join(",".join(map(str, row(time, unit))) for time in times) + "\n"
        return self.put(f"{self.folder(period)}/{name}", (change or (lambda t: t))(text))

    def publish_funding(self, label, first, after):
        name = f"{self.instrument.symbol}-fundingRate-{label}"
        lines = [f"{t + 3},8,0.0001" for t in range(max(first, self.listed), after, 8 * HOUR_MS)]
        text = "\n".join(["calc_time,funding_interval_hours,last_funding_rate", *lines])
        return self.put(f"data/futures/um/monthly/fundingRate/{self.instrument.symbol}/{name}", text)

    def put(self, stem, text):
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(stem.rpartition("/")[2] + ".csv", text)
        data = target.getvalue()
        sha = hashlib.sha256(data).hexdigest()
        self.server.answers[f"{stem}.zip"] = data
        self.server.answers[f"{stem}.zip.CHECKSUM"] = f"{sha}  {stem.rpartition('/')[2]}.zip".encode()
        return stem

    def publish_day(self, day, **more):
        return self.publish("daily", day_iso(day), day * DAY_MS, (day + 1) * DAY_MS, **more)

    def publish_march(self, **more):
        return self.publish("monthly", "2026-03", parse_iso("2026-03-01"), parse_iso("2026-04-01"), **more)

    def asked(self, ending):
        return [path for path in self.requests if path.endswith(ending)]


async def collect(client, instrument, start=START, end=END, known=None):
    return [batch async for batch in client.fetch(instrument, start, end, known or {})]


def times_of(batches, kind="bars"):
    column = "open_time" if kind == "bars" else "funding_time"
    frames = [batch.rows for batch in batches if batch.kind == kind]
    return sorted(pl.concat(frames)[column].to_list()) if frames else []


def files_of(batches):
    return {batch.file.name: batch.file for batch in batches if batch.file}


@pytest.fixture
def um(loopback):
    exchange = Exchange(loopback, UM)
    exchange.publish_march()
    exchange.publish_day(utc_day(END) - 1)
    exchange.publish_funding("2026-03", parse_iso("2026-03-01"), parse_iso("2026-04-01"))
    return exchange


async def test_archive_and_rest_together_give_every_closed_bar_once(um, market):
    batches = await collect(market(interval="1h"), UM)
    assert times_of(batches) == list(range(um.listed, END, HOUR_BARS))
    assert [(b.kind, b.source) for b in batches] == [
        ("bars", "archive"),
        ("bars", "archive"),
        ("bars", "rest"),
        ("funding", "archive"),
        ("funding", "rest"),
    ]
    assert times_of(batches, "funding") == list(range(um.listed, END, 8 * HOUR_MS))
    stated = batches[3].rows["interval_hours"]
    assert set(stated) == {8.0}
    assert set(files_of(batches)) == {
        "币USDT-1h-2026-03.zip",
        "币USDT-1h-2026-04-01.zip",
        "币USDT-fundingRate-2026-03.zip",
    }


async def test_the_unclosed_bar_is_dropped(um, market):
    batches = await collect(market(interval="1h"), UM, end=END + HOUR_MS)
    assert times_of(batches)[-1] == END - HOUR_BARS


async def test_of_an_earlier_listing_the_files_come_and_rest_is_asked_for_lost_ones_alone(loopback, market):
    """The ticker traded in January and February as another coin; its file of the 30th of January is lost."""
    exchange = Exchange(loopback, UM, listed=parse_iso("2026-01-01"))
    begins = parse_iso("2026-01-01")
    for day in range(utc_day(begins), utc_day(parse_iso("2026-02-01"))):
        if day_iso(day) != "2026-01-30":
            exchange.publish_day(day)
    exchange.publish("monthly", "2026-02", parse_iso("2026-02-01"), parse_iso("2026-02-05"))
    exchange.publish_march()
    batches = await collect(market(interval="1h"), UM, start=begins)
    february = range(parse_iso("2026-02-01"), parse_iso("2026-02-05"), HOUR_BARS)
    january = range(begins, parse_iso("2026-02-01"), HOUR_BARS)
    march = range(parse_iso("2026-03-01"), END, HOUR_BARS)
    assert times_of(batches) == [*january, *february, *march]
    asked = [(int(query["startTime"]), int(query["endTime"]) + 1) for query in loopback.queries[exchange.klines]]
    assert asked == [(parse_iso("2026-01-30"), parse_iso("2026-01-31")), (parse_iso("2026-04-01"), END)]
    known = files_of(batches)
    assert (known["币USDT-1h-2026-01-30.zip"].lost, known["币USDT-1h-2026-01-30.zip"].rows) == (True, 24)
    loopback.queries.clear()
    await collect(market(interval="1h"), UM, start=begins, known=known)
    assert [int(query["startTime"]) for query in loopback.queries[exchange.klines]] == [parse_iso("2026-04-01")]


async def test_where_no_month_was_before_the_listing_no_day_before_it_is_looked_for(loopback, market):
    exchange = Exchange(loopback, UM)
    exchange.publish_day(utc_day(LISTED))
    await collect(market(interval="1h"), UM, start=parse_iso("2026-01-01"))
    markers = [query["marker"] for query in loopback.queries[""] if "daily/klines" in query["prefix"]]
    assert markers == [f"{exchange.folder('daily')}/币USDT-1h-{day_iso(utc_day(LISTED))}"]


async def test_of_known_files_nothing_is_asked_but_the_list(um, market):
    for day in range(utc_day(START), utc_day(END)):
        um.publish_day(day)
    client = market(interval="1h")
    known = files_of(await collect(client, UM))
    um.requests.clear()
    again = await collect(client, UM, known=known)
    assert {batch.source for batch in again} == {"rest"}
    assert um.asked("") == um.requests
    assert [path for path in um.requests if not path.startswith(("api", "fapi"))] == ["", "", ""]


async def test_a_file_whose_checksum_changed_is_loaded_again(um, market):
    client = market(interval="1h")
    known = files_of(await collect(client, UM))
    um.publish_march(change=lambda text: text.replace(",10,", ",11,"))
    again = files_of(await collect(client, UM, known=known))
    assert set(again) == {"币USDT-1h-2026-03.zip"}
    assert again["币USDT-1h-2026-03.zip"].sha256 != known["币USDT-1h-2026-03.zip"].sha256


async def test_a_month_whose_days_are_all_stored_is_not_loaded_as_a_month(um, market):
    days = [f"币USDT-1h-{day_iso(day)}.zip" for day in range(utc_day(START), utc_day(parse_iso("2026-04-01")))]
    known = {name: FetchedFile(name=name, sha256="0" * 64, rows=24) for name in days}
    batches = await collect(market(interval="1h"), UM, known=known)
    assert not um.asked("1h-2026-03.zip")
    assert times_of(batches)[0] == parse_iso("2026-04-01")


async def test_a_missing_month_falls_back_to_days_and_missing_days_to_rest(loopback, market):
    exchange = Exchange(loopback, UM)
    exchange.publish_day(utc_day(START))
    batches = await collect(market(interval="1h"), UM)
    assert times_of(batches) == list(range(START, END, HOUR_BARS))
    assert [b.source for b in batches if b.kind == "bars"] == ["archive", "rest"]


async def test_a_hole_between_files_is_asked_of_rest_alone(loopback, market):
    exchange = Exchange(loopback, UM)
    for day in (utc_day(START), utc_day(START) + 2):
        exchange.publish_day(day)
    batches = await collect(market(interval="1h"), UM)
    assert times_of(batches) == list(range(START, END, HOUR_BARS))
    spans = [(int(q["startTime"]), int(q["endTime"])) for q in loopback.queries[exchange.klines]]
    assert spans == [(START + DAY_MS, START + 2 * DAY_MS - 1), (START + 3 * DAY_MS, END - 1)]


async def test_rest_pages_of_499_follow_one_another_on_futures(loopback, market):
    listed = parse_iso("2026-01-01")
    Exchange(loopback, UM, listed=listed)
    old = Instrument(market="um", symbol="币USDT", base="币", quote="USDT", listed_ms=listed)
    batches = await collect(market(interval="1h"), old, start=listed)
    assert times_of(batches) == list(range(listed, END, HOUR_BARS))
    *full, last = [query["limit"] for query in loopback.queries["fapi/v1/klines"]]
    assert set(full) == {"499"}
    assert int(last) < 100 or last == "499"  # under a hundred rows cost half
    assert [b.rows.height for b in batches if b.kind == "bars"][:2] == [499, 499]


async def test_an_as_of_run_reads_no_file_that_holds_a_later_row(um, market):
    as_of = parse_iso("2026-03-31T12:00:00Z")
    um.publish_day(utc_day(START))
    batches = await collect(market(interval="1h"), UM, end=as_of)
    assert times_of(batches)[-1] == as_of - HOUR_BARS
    assert set(files_of(batches)) == {f"币USDT-1h-{day_iso(utc_day(START))}.zip"}


async def test_a_spot_coin_begins_with_its_first_file_and_is_read_in_microseconds(loopback, market):
    exchange = Exchange(loopback, SPOT, listed=parse_iso("2026-03-31"))
    exchange.publish_march()
    batches = await collect(market(interval="1h"), SPOT, start=parse_iso("2025-01-01"))
    assert times_of(batches) == list(range(exchange.listed, END, HOUR_BARS))
    assert not exchange.asked("2026-02.zip.CHECKSUM")
    assert not loopback.queries[exchange.funding_rate]
    loopback.queries.clear()
    await collect(market(interval="1h"), SPOT, known=files_of(batches))
    assert all(query["limit"] == "1000" for query in loopback.queries[exchange.klines])


async def test_a_symbol_without_any_bar_gives_nothing(loopback, market):
    Exchange(loopback, SPOT, listed=NOW + DAY_MS)
    assert await collect(market(interval="1h"), SPOT) == []


async def test_a_coin_listed_after_the_end_gives_nothing(loopback, market):
    assert await collect(market(interval="1h"), UM, start=0, end=UM.listed_ms) == []


async def test_a_wrong_checksum_is_fetched_three_times_and_then_refused(um, market):
    stem = um.publish_march()
    um.server.answers[f"{stem}.zip.CHECKSUM"] = f"{'0' * 64}  币USDT-1h-2026-03.zip".encode()
    with pytest.raises(ChecksumError, match=r"币USDT-1h-2026-03\.zip"):
        await collect(market(interval="1h"), UM)
    assert len(um.asked("2026-03.zip")) == 3


async def test_a_zip_that_was_damaged_once_is_fetched_again(um, market):
    stem = um.publish_march()
    good = um.server.answers[f"{stem}.zip"]
    um.server.answers[f"{stem}.zip"] = [good[:500], good]
    assert times_of(await collect(market(interval="1h"), UM)) == list(range(um.listed, END, HOUR_BARS))


async def test_a_file_replaced_between_checksum_and_zip_is_read_in_its_new_form(um, market):
    stem = um.publish_march()
    old = um.server.answers[f"{stem}.zip.CHECKSUM"]
    um.publish_march(change=lambda text: text.replace(",10,", ",11,"))
    um.server.answers[f"{stem}.zip.CHECKSUM"] = [old, um.server.answers[f"{stem}.zip.CHECKSUM"]]
    batches = await collect(market(interval="1h"), UM)
    assert batches[0].rows["volume"][0] == 11.0


async def test_the_other_files_come_before_the_error_of_a_damaged_one(um, market):
    stem = um.publish_march()
    um.server.answers[f"{stem}.zip.CHECKSUM"] = f"{'0' * 64}  币USDT-1h-2026-03.zip".encode()
    came = []

    async def until_it_fails():
        async for batch in market(interval="1h").fetch(UM, START, END, {}):
            came.append(batch)  # noqa: PERF401

    with pytest.raises(ChecksumError):
        await until_it_fails()
    assert set(files_of(came)) == {"币USDT-1h-2026-04-01.zip"}


async def test_a_known_file_of_any_age_is_read_again_once_its_stamp_and_checksum_changed(um, market):
    for day in range(utc_day(START), utc_day(END)):
        um.publish_day(day)
    client = market(interval="1h")
    start = parse_iso("2026-01-01")
    coin = replace(UM, listed_ms=start)
    um.listed = start
    months = ("2026-01", "2026-02", "2026-03", "2026-04")
    for month, after in pairwise(months):
        um.publish("monthly", month, parse_iso(f"{month}-01"), parse_iso(f"{after}-01"))
    known = files_of(await collect(client, coin, start=start))
    um.publish("monthly", "2026-01", start, parse_iso("2026-02-01"), change=lambda text: text.replace(",10,", ",11,"))
    um.requests.clear()
    again = await collect(client, coin, start=start, known=known)
    assert list(files_of(again)) == ["币USDT-1h-2026-01.zip"]
    assert set(again[0].rows["volume"]) == {11.0}
    assert len(um.asked(".zip")) == len(um.asked(".CHECKSUM")) == 1


async def test_a_new_stamp_on_the_same_bytes_is_noted_without_reading_them(um, market):
    client = market(interval="1h")
    known = files_of(await collect(client, UM))
    old = {name: replace(file, stamp=None) for name, file in known.items()}
    um.requests.clear()
    again = await collect(client, UM, known=old)
    assert files_of(again) == known
    assert all(batch.rows.is_empty() for batch in again if batch.file)
    assert (len(um.asked(".CHECKSUM")), um.asked(".zip")) == (3, [])


async def test_what_the_list_says_is_absent_is_not_asked_for(um, market):
    stem = um.publish_march()
    um.server.unlisted |= {f"{stem}.zip", f"{stem}.zip.CHECKSUM"}
    assert times_of(await collect(market(interval="1h"), UM)) == list(range(START, END, HOUR_BARS))
    assert not um.asked("1h-2026-03.zip.CHECKSUM")


async def test_a_list_that_does_not_answer_is_upstream_and_nothing_else_is_tried(um, market, reply):
    um.server.answers[""] = reply(b"<html>busy</html>", 403)
    with pytest.raises(UpstreamError, match="403"):
        await collect(market(interval="1h"), UM)
    um.server.answers[""] = b"<html>hello</html>"
    with pytest.raises(UpstreamError, match="no S3 listing"):
        await collect(market(interval="1h"), UM)
    del um.server.answers[""]
    with pytest.raises(UpstreamError, match="listing_url"):
        await collect(market(interval="1h"), UM)
    assert set(um.requests) == {""}


async def test_an_absent_file_is_late_at_first_and_lost_afterwards(loopback, market):
    exchange = Exchange(loopback, UM, now=END + 30 * DAY_MS)
    first = utc_day(START)
    for day in (first, first + 2, first + 3):
        exchange.publish_day(day)
    client = market(interval="1h")
    lost = f"币USDT-1h-{day_iso(first + 1)}.zip"
    end = (first + 2 + LATE_DAYS) * DAY_MS
    assert lost not in files_of(await collect(client, UM, end=end - 1))
    batches = await collect(client, UM, end=end)
    known = files_of(batches)
    assert known[lost] == FetchedFile(name=lost, sha256="", rows=24)
    assert times_of(batches) == list(range(START, end, HOUR_BARS))
    loopback.queries.clear()
    await collect(client, UM, end=end, known=known)
    asked = [int(query["startTime"]) for query in loopback.queries[exchange.klines]]
    assert min(asked) == (first + 4) * DAY_MS
    exchange.publish_day(first + 1)
    again = files_of(await collect(client, UM, end=end, known=known))
    assert again[lost].sha256


async def test_without_the_tail_rest_is_asked_for_lost_files_alone(loopback, market):
    exchange = Exchange(loopback, UM)
    first = utc_day(START)
    for day in (first, first + 2):
        exchange.publish_day(day)
    client = market(interval="1h")
    end = (first + 30) * DAY_MS
    batches = [batch async for batch in client.fetch_archived(UM, START, end, {})]
    assert times_of(batches) == list(range(START, START + 3 * DAY_MS, HOUR_BARS))
    assert len(loopback.queries[exchange.klines]) == 1
    assert not loopback.queries[exchange.funding_rate]


async def test_every_symbol_the_archive_ever_had_is_named(um, market):
    um.put("data/futures/um/monthly/klines/GONEUSDT/1h/GONEUSDT-1h-2020-03", "")
    um.put("data/futures/um/daily/klines/NEWUSDT/1h/NEWUSDT-1h-2026-03-02", "")
    um.server.page_size = 1
    assert await market(interval="1h").archived_symbols("um") == ["GONEUSDT", "NEWUSDT", "币USDT"]
    assert await market(interval="1h").archived_symbols("spot") == []


async def test_a_zip_without_a_checksum_is_never_read(um, market):
    stem = um.publish_march()
    del um.server.answers[f"{stem}.zip.CHECKSUM"]
    batches = await collect(market(interval="1h"), UM)
    assert not um.asked("1h-2026-03.zip")
    assert times_of(batches) == list(range(START, END, HOUR_BARS))


async def test_a_checksum_without_its_zip_is_not_yet(um, market):
    stem = um.publish_march()
    del um.server.answers[f"{stem}.zip"]
    assert times_of(await collect(market(interval="1h"), UM)) == list(range(START, END, HOUR_BARS))


async def test_a_stored_file_that_vanished_from_the_archive_stays_trusted(um, market):
    client = market(interval="1h")
    known = files_of(await collect(client, UM))
    stem = um.publish_march(change=lambda text: text.replace(",10,", ",11,"))
    del um.server.answers[f"{stem}.zip"]
    batches = await collect(client, UM, known=known)
    assert times_of(batches)[0] == parse_iso("2026-04-02")


@pytest.mark.parametrize("body", [b"<html>404</html>", b"0" * 64, b"g" * 64 + b"  x.zip", b"0" * 64 + b"  other.zip"])
async def test_a_checksum_file_of_anything_else_is_asked_for_three_times_and_then_refused(um, market, body):
    stem = um.publish_march()
    um.server.answers[f"{stem}.zip.CHECKSUM"] = body
    with pytest.raises(ChecksumError, match="not a checksum"):
        await collect(market(interval="1h"), UM)
    assert len(um.asked("1h-2026-03.zip.CHECKSUM")) == 3
    assert not um.asked("1h-2026-03.zip")


async def test_a_verified_file_that_is_no_table_of_ours_is_schema(um, market):
    um.publish_march(change=lambda text: text.replace(",10,", ",ten,"))
    with pytest.raises(SchemaError, match="币USDT-1h-2026-03"):
        await collect(market(interval="1h"), UM)


async def test_a_truncated_zip_is_never_parsed_whatever_its_length(um, market, reply):
    stem = um.publish_day(utc_day(END) - 1)
    good = um.server.answers[f"{stem}.zip"]
    client = market(interval="1h")
    start = parse_iso("2026-04-01")
    for size in (0, 1, 30, len(good) // 2, len(good) - 22, len(good) - 1):
        um.server.answers[f"{stem}.zip"] = good[:size]
        with pytest.raises(ChecksumError):
            await collect(client, UM, start=start)


async def test_a_page_that_never_advances_is_schema(um, market, loopback):
    loopback.answers[um.klines] = json.dumps([row(START - DAY_MS)] * 499).encode()
    with pytest.raises(SchemaError, match="nothing newer"):
        await collect(market(interval="1h"), UM)


async def test_an_error_answer_names_the_symbols_trouble(loopback, market, reply):
    exchange = Exchange(loopback, UM)
    loopback.answers[exchange.klines] = reply(b'{"code":-1121,"msg":"Invalid symbol."}', 400)
    with pytest.raises(DataError, match="Invalid symbol"):
        await collect(market(interval="1h"), UM)
