"""Files of the archive: a damaged one is never parsed unverified (R9), an instant is right or the file is SCHEMA (R10)."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from damaged_archive import STEPS
from sizes import FULL, size

from huracan.adapters.binance.plan import Folder
from huracan.adapters.binance.tables import funding_csv, klines_csv, klines_json
from huracan.domain.ids import Instrument
from huracan.domain.time import DAY_MS, HOUR_MS, parse_iso
from huracan.errors import SchemaError

CHILD = Path(__file__).parents[1] / "support" / "damaged_archive.py"
TABLES = size(1_200, 60_000)
NAMES = (
    *("open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count"),
    *("taker_buy_volume", "taker_buy_quote_volume", "ignore"),
)
UNITS = {"s": 1e-3, "ms": 1, "us": 1_000, "ns": 1_000_000}


@pytest.mark.slow
@pytest.mark.guarantee("R9")
def test_a_damaged_file_is_refused_after_three_fetches_and_never_parsed_unverified(counted):
    truncated, mutants = ("0", "100000") if FULL else ("8", "1000")
    command = [sys.executable, str(CHILD), "20", truncated, mutants]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    counted(seen["cases"])
    assert seen["wrong"] == []
    assert seen["unverified"] == 0
    assert seen["most_fetches"] == 3
    assert seen["CHECKSUM"] > 100
    assert seen["SCHEMA"] > 100
    assert seen["absent"] == 20
    assert seen["peak_bytes"] < 256e6, f"{seen['peak_bytes'] / 1e6:.0f} MB"


class Table:
    """A file of an instrument's klines in one of the forms there are, or might come to be, and what must come of it."""

    def __init__(self, rng, market, interval):
        step = STEPS[interval]
        coin = Instrument(market=market, symbol="ABCUSDT", base="ABC", quote="USDT")
        day = parse_iso("2017-08-17") + rng.randrange(5_000) * DAY_MS
        self.file = Folder.klines(coin, interval, "daily").file(day)
        at = sorted(rng.sample(range(0, DAY_MS, step), min(DAY_MS // step, rng.randint(1, 12))))
        self.times = [day + offset for offset in at]
        self.units = rng.choice([["ms"], ["us"], ["ms", "us"], ["ns"], ["s"], ["ms", "ns"], ["us", "ns"], ["ms", "s"]])
        self.header = rng.choice(["absent", "first", "later", "permuted", "short"])
        self.added = rng.choice([False, False, True])
        self.end = rng.choice(["\n", "\r\n"])
        self._write(rng, step)

    @property
    def right(self):
        """Whether the instants can be told, so that refusing them would be too much."""
        return (
            set(self.used) <= {"ms", "us"}
            and (self.header in {"first", "permuted"} or (self.header == "absent" and not self.added))
        )  # fmt: skip

    def _write(self, rng, step):
        self.used = [rng.choice(self.units) for _ in self.times]
        names = [*NAMES, *(["vwap"] if self.added else [])]
        places = rng.sample(range(len(names)), len(names)) if self.header == "permuted" else range(len(names))
        kept = [place for place in places if not (self.header == "short" and names[place] == "taker_buy_volume")]
        lines = []
        for time, unit in zip(self.times, self.used, strict=True):
            stamp, close = int(time * UNITS[unit]), int((time + step) * UNITS[unit]) - 1
            row = [stamp, "1.5", "2.5", "0.5", "2.0", "10", close, "20.0", "7", "5", "10.0", "0", "1.7"]
            lines.append(",".join(str(row[place]) for place in kept))
        head = ",".join(names[place] for place in kept)
        if self.header in {"first", "permuted", "short"}:
            lines.insert(0, head)
        elif self.header == "later":
            lines.insert(rng.randint(1, len(lines)), head)
        self.data = (self.end.join(lines) + rng.choice(["", self.end])).encode()

    def read(self):
        return klines_csv(self.data, self.file.name, self.file.span)


@pytest.mark.slow
@pytest.mark.guarantee("R10")
def test_every_instant_is_right_or_the_file_is_schema(counted):
    rng, told = random.Random(10), {True: 0, False: 0}
    for number in range(TABLES):
        table = Table(rng, ("spot", "um")[number % 2], list(STEPS)[number // 2 % 6])
        told[table.right] += 1
        if table.right:
            frame = table.read()
            assert frame["open_time"].to_list() == table.times, table.data
            assert frame.row(0)[1:] == (1.5, 2.5, 0.5, 2.0, 10.0, 20.0, 7.0, 5.0, 10.0), table.data
        else:
            with pytest.raises(SchemaError, match=r"ABCUSDT"):
                table.read()
        counted()
    assert min(told.values()) > TABLES // 10


@pytest.mark.slow
@pytest.mark.guarantee("R10")
def test_settlements_and_pages_are_right_in_every_unit_or_schema(counted):
    rng, day = random.Random(11), parse_iso("2025-06-01")
    for _ in range(size(300, 20_000)):
        units = [rng.choice(list(UNITS)) for _ in range(rng.randint(1, 6))]
        if rng.random() < 0.5:
            units = [rng.choice(["ms", "us"]) for _ in units]
        stamps = [int((day + k * 8 * HOUR_MS) * UNITS[unit]) for k, unit in enumerate(units)]
        wanted = [day + k * 8 * HOUR_MS for k in range(len(units))]
        text = "calc_time,funding_interval_hours,last_funding_rate\n" + "".join(f"{s},8,0.0001\n" for s in stamps)
        page = [[s, "1.5", "2.5", "0.5", "2.0", "10", s + 1, "20.0", 7, "5", "10.0", "0"] for s in stamps]
        for read in (
            lambda text=text: funding_csv(text.encode(), "A-fundingRate-2025-06.zip", (day, day + 30 * DAY_MS)),
            lambda page=page: klines_json(page, "klines of A")[0],
        ):
            if set(units) <= {"ms", "us"}:
                assert read().to_series(0).to_list() == wanted
            else:
                with pytest.raises(SchemaError):
                    read()
            counted()
