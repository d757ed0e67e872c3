"""Columns by meaning, times by magnitude, absence as null; or SCHEMA."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.adapters.binance.tables import funding_csv, funding_json, klines_csv, klines_json
from huracan.domain.frames import BAR_SCHEMA, FUNDING_SCHEMA
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from huracan.errors import SchemaError

DAY = 1_748_736_000_000  # 2025-06-01
SPAN = (DAY, DAY + DAY_MS)
NAME = "BTCUSDT-1m-2025-06-01.zip"
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)


def line(i=0, *, unit=1, fields=None):
    time = (DAY + i * MINUTE_MS) * unit
    rest = fields or ["1.1", "1.3", "1.0", "1.2", "10", str(time + MINUTE_MS * unit - 1), "12.5", "3", "4", "5", "0"]
    return ",".join([str(time), *rest])


def csv(*lines, header=False, end="\n"):
    return ("\n".join([HEADER] * header + list(lines)) + end).encode()


EXPECTED = (1.1, 1.3, 1.0, 1.2, 10.0, 12.5, 3.0, 4.0, 5.0)


@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("unit", [1, 1000])
@pytest.mark.parametrize("end", ["\n", "", "\r\n"])
def test_header_unit_and_line_end_are_seen_by_content(header, unit, end):
    frame = klines_csv(csv(line(0, unit=unit), line(1, unit=unit), header=header, end=end), NAME, SPAN)
    assert frame.schema == BAR_SCHEMA
    assert frame.rows() == [(DAY, *EXPECTED), (DAY + MINUTE_MS, *EXPECTED)]


def test_the_unit_is_decided_row_by_row():
    frame = klines_csv(csv(line(0), line(1, unit=1000), line(2)), NAME, SPAN)
    assert frame["open_time"].to_list() == [DAY, DAY + MINUTE_MS, DAY + 2 * MINUTE_MS]


@pytest.mark.parametrize("scale", [1e-3, 1e6])
def test_seconds_and_nanoseconds_are_refused(scale):
    data = csv(line(0).replace(str(DAY), str(int(DAY * scale)), 1))
    with pytest.raises(SchemaError, match="neither ms nor us"):
        klines_csv(data, NAME, SPAN)


def test_a_time_of_another_file_is_refused():
    with pytest.raises(SchemaError, match="in a file of"):
        klines_csv(csv(line(5 * 1440)), NAME, SPAN)


def test_columns_with_a_header_are_taken_by_name_in_any_order_beside_new_ones():
    names = HEADER.split(",")
    values = line().split(",")
    order = [7, 0, 11, 3, 1, 2, 4, 5, 6, 8, 9, 10]
    text = ",".join(["extra", *(names[i] for i in order)]) + "\n" + ",".join(["word", *(values[i] for i in order)])
    assert klines_csv(text.encode(), NAME, SPAN).rows() == [(DAY, *EXPECTED)]


def test_empty_fields_are_null_and_not_zero():
    fields = ["1.1", "1.3", "1.0", "1.2", "10", "0", "", "", "", "", "0"]
    frame = klines_csv(csv(line(fields=fields)), NAME, SPAN)
    assert frame.row(0) == (DAY, 1.1, 1.3, 1.0, 1.2, 10.0, None, None, None, None)


@pytest.mark.parametrize(
    "data",
    [
        csv(line() + ",1"),
        csv(line(), ",".join(line(1).split(",")[:5])),
        csv(line(), ""),
        csv(line().replace("1.1", "abc")),
        csv(line().replace("1.1", '"1.1"')),
        csv(line().replace(str(DAY), f"{DAY}.5", 1)),
        csv(line()).replace(b"10", b"1\xff"),
        csv(line(), header=True).replace(b"taker_buy_volume", b"bought"),
        csv(line(), header=True).replace(b"count", b"close"),
        b"<html><body>nothing</body></html>",
        csv(line(), HEADER),
    ],
    ids=[
        "more",
        "fewer",
        "blank line",
        "text",
        "quoted",
        "float time",
        "utf8",
        "renamed",
        "twice",
        "html",
        "late header",
    ],
)
def test_any_other_table_is_refused_by_name(data):
    with pytest.raises(SchemaError, match="BTCUSDT"):
        klines_csv(data, NAME, SPAN)


def test_an_empty_file_has_no_rows():
    assert klines_csv(b"", NAME, SPAN).schema == BAR_SCHEMA
    assert klines_csv(csv(header=True), NAME, SPAN).height == 0


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1439), st.sampled_from([1, 1000])), min_size=1, max_size=20), st.booleans())
def test_mixed_units_are_right_in_every_row(rows, header):
    data = csv(*(line(i, unit=unit) for i, unit in rows), header=header)
    assert klines_csv(data, NAME, SPAN)["open_time"].to_list() == [DAY + i * MINUTE_MS for i, _ in rows]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_table_or_schema(data):
    try:
        frame = klines_csv(data, NAME, SPAN)
    except SchemaError:
        return
    assert frame.schema == BAR_SCHEMA
    assert frame["open_time"].null_count() == 0


def test_funding_files_round_times_and_keep_the_stated_interval():
    data = b"calc_time,funding_interval_hours,last_funding_rate\n%d,8,0.0001\n%d,4,-0.0002\n" % (
        DAY + 17,
        DAY + 8 * HOUR_MS,
    )
    frame = funding_csv(data, "BTCUSDT-fundingRate-2025-06.zip", SPAN)
    assert frame.schema == FUNDING_SCHEMA
    assert frame.rows() == [(DAY, 1e-4, 8.0), (DAY + 8 * HOUR_MS, -2e-4, 4.0)]


def kline(i=0, **changes):
    row = [
        DAY + i * MINUTE_MS,
        "1.1",
        "1.3",
        "1.0",
        "1.2",
        "10",
        DAY + (i + 1) * MINUTE_MS - 1,
        "12.5",
        3,
        "4",
        "5",
        "0",
    ]
    for place, value in changes.items():
        row[int(place[1:])] = value
    return row


def test_a_page_of_klines_is_a_table_with_close_times():
    frame, closes = klines_json([kline(0), kline(1)], "klines")
    assert frame.schema == BAR_SCHEMA
    assert frame.row(0) == (DAY, *EXPECTED)
    assert closes.to_list() == [DAY + MINUTE_MS - 1, DAY + 2 * MINUTE_MS - 1]


def test_an_empty_page_has_no_rows():
    frame, closes = klines_json([], "klines")
    assert (frame.height, len(closes)) == (0, 0)


def test_json_nulls_are_null_and_plain_numbers_are_numbers():
    frame, _ = klines_json([kline(f7=None, f8=None, f9=None, f10=None, f1=1.25, f2=2)], "klines")
    assert frame.row(0) == (DAY, 1.25, 2.0, 1.0, 1.2, 10.0, None, None, None, None)


def test_decimal_texts_give_the_same_numbers_from_csv_and_json():
    texts = ["0.1", "123456789.12345678", "0.00000001", "92233720368.54775807", "1e-8", "7161.51000000"]
    from_csv = [klines_csv(csv(line(fields=[t, *line().split(",")[2:]])), NAME, SPAN)["open"][0] for t in texts]
    from_json = [klines_json([kline(f1=t)], "k")[0]["open"][0] for t in texts]
    assert from_csv == from_json == [float(t) for t in texts]


@pytest.mark.parametrize(
    "page",
    [
        {"code": -1121},
        [[1, 2]],
        [{}],
        [kline(f0=None)],
        [kline(f0="x")],
        [kline(f0=12)],
        [kline(f1="abc")],
        [kline(f8=True)],
        [kline(f1=[1])],
        [kline(f6=None)],
        [kline(f1="1.0"), kline(f1=2)],
    ],
)
def test_a_page_of_anything_else_is_refused(page):
    with pytest.raises(SchemaError, match="klines"):
        klines_json(page, "klines of X")


def test_a_page_of_settlements_is_a_table():
    frame = funding_json([{"fundingTime": DAY + 3, "fundingRate": "0.0001", "markPrice": ""}], "f")
    assert frame.rows() == [(DAY, 1e-4, None)]
    assert funding_json([], "f").schema == pl.Schema(FUNDING_SCHEMA)


@pytest.mark.parametrize(
    "page",
    [
        {},
        [1],
        [{"fundingTime": DAY}],
        [{"fundingTime": "x", "fundingRate": "1"}],
        [{"fundingTime": 5, "fundingRate": "1"}],
    ],
)
def test_a_page_of_other_settlements_is_refused(page):
    with pytest.raises(SchemaError, match="fundingRate of X"):
        funding_json(page, "fundingRate of X")


def ragged(lines, number, place, *, more):
    """The lines with one field more (a number, put at a place) or fewer in one of them."""
    fields = lines[number].split(",")
    fields = [*fields[:place], "2.0", *fields[place:]] if more else [*fields[:place], *fields[place + 1 :]]
    return [*lines[:number], ",".join(fields), *lines[number + 1 :]]


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_line_with_a_field_too_many_or_too_few_is_named_wherever_it_stands(data):
    count, header = data.draw(st.integers(2, 6)), data.draw(st.booleans())
    lines = [line(i) for i in range(count)]
    number, more = data.draw(st.integers(0, count - 1)), data.draw(st.booleans())
    broken = ragged(lines, number, data.draw(st.integers(0, 11)), more=more)
    if data.draw(st.booleans()):  # another line that makes up for it, so that the number of all commas is right
        other = data.draw(st.integers(0, count - 1).filter(lambda at: at != number))
        broken = ragged(broken, other, data.draw(st.integers(0, 11)), more=not more)
        number = min(number, other)
    text = csv(*broken, header=header, end=data.draw(st.sampled_from(["\n", ""])))
    if number == 0 and not header:
        with pytest.raises(SchemaError):
            klines_csv(text, NAME, SPAN)
        return
    with pytest.raises(SchemaError, match=rf"{NAME}: line {number + 1 + header} has 1[13] fields, wanted 12"):
        klines_csv(text, NAME, SPAN)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 3), st.integers(0, 2), st.booleans(), st.booleans())
def test_a_settlement_with_a_field_too_many_or_too_few_is_named(number, place, more, header):
    lines = [f"{DAY + i * 8 * HOUR_MS},8,0.0001" for i in range(4)]
    text = "\n".join(
        ["calc_time,funding_interval_hours,last_funding_rate"] * header + ragged(lines, number, place, more=more)
    )
    named = "fundingRate" if number == 0 and not header else rf"line {number + 1 + header} has [24] fields, wanted 3"
    with pytest.raises(SchemaError, match=named):
        funding_csv(text.encode(), "A-fundingRate-2025-06.zip", (DAY, DAY + 30 * DAY_MS))


def test_a_shifted_line_gives_no_price():
    shifted = line().replace("1.2,", "2.0,1.2,")
    with pytest.raises(SchemaError, match="line 2 has 13 fields, wanted 12"):
        klines_csv(csv(line(1), shifted, line(2)), NAME, SPAN)
