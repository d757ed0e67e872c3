"""Archive files that become others after they were published: restated, in another unit, with another header."""

from typing import Final

from huracan.worlds.faults import ChangeKind

_VOLUMES: Final = (5, 7, 9, 10)
_CLOSE_TIME: Final = 6
_HEADERS: Final = {
    True: b"open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    b"taker_buy_quote_volume,ignore",
    False: b"calc_time,funding_interval_hours,last_funding_rate",
}
_MICROSECOND_DIGITS: Final = 16


def edited(text: bytes, kind: ChangeKind, *, klines: bool) -> bytes:
    """A CSV of klines or settlements after a change of that kind; other kinds change nothing."""
    lines = text.splitlines()
    head = 0 if lines[0][:1].isdigit() else 1
    if kind == "header_switch":
        lines = lines[1:] if head else [_HEADERS[klines], *lines]
    elif kind == "replaced":
        lines[-1] = _restated(lines[-1].split(b","), klines=klines)
    elif kind == "unit_mix":
        middle = head + (len(lines) - head) // 2
        lines[middle:] = [_other_unit(line.split(b","), klines=klines) for line in lines[middle:]]
    return b"\n".join(lines) + b"\n"


def _restated(row: list[bytes], *, klines: bool) -> bytes:
    """Twice the volume, or twice the rate."""
    for place in _VOLUMES if klines else (2,):
        row[place] = f"{2 * float(row[place]):.8f}".encode()
    return b",".join(row)


def _other_unit(row: list[bytes], *, klines: bool) -> bytes:
    """Microseconds where the row has milliseconds, and the other way round."""
    to_micro = len(row[0]) < _MICROSECOND_DIGITS
    row[0] = row[0] + b"000" if to_micro else row[0][:-3]
    if klines:
        close = row[_CLOSE_TIME]
        row[_CLOSE_TIME] = close + b"999" if to_micro else close[:-3]
    return b",".join(row)
