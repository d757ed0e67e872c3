"""Reads damaged archive files as a night does, in a process of its own, and prints what became of them and its peak memory.

``python damaged_archive.py FILES TRUNCATED MUTANTS``: truncate every byte (or TRUNCATED places) of so many files, and read
so many mutants of zip or checksum. Requests go through the real client to a transport in memory: a hundred thousand
sockets would prove nothing more.
"""

import asyncio
import hashlib
import io
import json
import random
import sys
import zipfile

import httpx2
import stamina
import stamina.instrumentation

from huracan.adapters.binance import BinanceMarketData, archive, strict_zip
from huracan.adapters.binance.plan import CHECKSUM, ArchiveFile
from huracan.adapters.binance.tables import funding_csv, klines_csv
from huracan.adapters.telemetry.memory import peak_resident_bytes
from huracan.domain.ids import sha256_hex
from huracan.domain.time import DAY_MS, HOUR_MS, parse_iso
from huracan.errors import ChecksumError, SchemaError
from huracan.settings import BinanceSettings
from huracan.worlds.archive import UM_HEADER

BASE = "http://127.0.0.1:1"
DAY = parse_iso("2025-06-01")
STEPS = {"1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": HOUR_MS, "4h": 4 * HOUR_MS, "1d": DAY_MS}


class Shelf:
    """What the archive answers now, and how often each thing was asked for."""

    def __init__(self):
        self.zip, self.sum = b"", b""
        self.zips = self.sums = 0

    def answer(self, request):
        if request.url.path.endswith(CHECKSUM):
            self.sums += 1
            return httpx2.Response(200, stream=httpx2.ByteStream(self.sum)) if self.sum else httpx2.Response(404)
        self.zips += 1
        return httpx2.Response(200, stream=httpx2.ByteStream(self.zip))


class Tally:
    """What became of the cases; a case that went wrong is a text."""

    def __init__(self):
        self.counts = dict.fromkeys(("cases", "CHECKSUM", "SCHEMA", "equal", "absent", "unverified", "most_fetches"), 0)
        self.wrong = []

    def note(self, outcome, zips):
        self.counts["cases"] += 1
        self.counts[outcome] += 1
        self.counts["most_fetches"] = max(self.counts["most_fetches"], zips)


def zipped(name, text):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr(name, text)
    return out.getvalue()


def klines_file(number):
    """One day of an interval, of either market, with a header and in microseconds where the real ones are."""
    market, interval = ("spot", "um")[number % 2], list(STEPS)[number // 2 % 6]
    step, unit = STEPS[interval], 1000 if number % 2 == 0 else 1
    rng = random.Random(number)
    lines = [",".join(UM_HEADER)] if number % 2 else []
    for time in range(DAY, DAY + min(DAY_MS, 240 * step), step):
        price = 100 + rng.random()
        lines.append(f"{time * unit},{price:.4f},{price + 1:.4f},{price - 1:.4f},{price:.4f},{rng.randint(1, 999)},"
                     f"{(time + step) * unit - 1},{rng.random() * 1e6:.2f},{rng.randint(1, 99)},5,500.5,0")  # fmt: skip
    name = f"C{number}USDT-{interval}-2025-06-01"
    file = ArchiveFile(
        name=f"{name}.zip", path=f"data/{market}/{name}.zip", span=(DAY, DAY + DAY_MS), size=1, stamp="s"
    )
    return file, zipped(f"{name}.csv", "\n".join(lines)), klines_csv


def funding_file():
    lines = ["calc_time,funding_interval_hours,last_funding_rate"]
    lines += [f"{DAY + k * 8 * HOUR_MS},8,0.0001{k % 10}" for k in range(90)]
    name = "CUSDT-fundingRate-2025-06"
    span = (DAY, DAY + 30 * DAY_MS)
    file = ArchiveFile(name=f"{name}.zip", path=f"data/{name}.zip", span=span, size=1, stamp="s")
    return file, zipped(f"{name}.csv", "\n".join(lines)), funding_csv


def mutant(rng, data):
    """The bytes with one to four damages: set, flipped, inserted, deleted, swapped or doubled ones."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, to = sorted((rng.randrange(len(out) + 1), rng.randrange(len(out) + 1)))
        match rng.randrange(6):
            case 0 if at < len(out):
                out[at] = rng.randrange(256)
            case 1 if at < len(out):
                out[at] ^= 1 << rng.randrange(8)
            case 2:
                out.insert(at, rng.randrange(256))
            case 3:
                del out[at : min(to, at + 8)]
            case 4:
                out[at:to] = out[at:to][::-1]
            case 5:
                out[at:at] = out[at : min(to, at + 64)]
    return bytes(out)


async def read(reader, shelf, case, tally, damaged, line):
    """One read of these bytes under this checksum, told apart by what came of it."""
    file, good, parse = case
    shelf.zip, shelf.sum, shelf.zips, shelf.sums = damaged, line, 0, 0
    try:
        verified = await reader.read(file, parse)
    except (ChecksumError, SchemaError) as error:
        tally.note(error.code, shelf.zips)
        return error.code
    if verified is None:
        tally.note("absent", shelf.zips)
        return "absent"
    whole = parse(strict_zip.unzip_single(good, file.member), file.name, file.span)
    if not verified.rows.equals(whole):
        tally.wrong.append(f"{file.name}: other rows from {len(damaged)} damaged bytes under {line!r}")
    tally.note("equal", shelf.zips)
    return "equal"


def line_of(data, file):
    return f"{hashlib.sha256(data).hexdigest()}  {file.name}".encode()


async def damage(reader, shelf, tally, files, truncated, mutants):
    rng = random.Random(9)
    cases = [klines_file(number) for number in range(files - 1)] + [funding_file()]
    for case in cases:
        file, good, _ = case
        places = range(len(good)) if truncated == 0 else sorted(rng.sample(range(len(good)), truncated))
        for size in places:
            if await read(reader, shelf, case, tally, good[:size], line_of(good, file)) != "CHECKSUM":
                tally.wrong.append(f"{file.name} cut at {size} of {len(good)} was not CHECKSUM")
            if await read(reader, shelf, case, tally, good[:size], line_of(good[:size], file)) != "SCHEMA":
                tally.wrong.append(f"{file.name} cut at {size}, with the checksum of that, was not SCHEMA")
        if await read(reader, shelf, case, tally, good, b"") != "absent" or shelf.zips:
            tally.wrong.append(f"{file.name} without a checksum was asked for")
        if await read(reader, shelf, case, tally, good, line_of(good, file)) != "equal":
            tally.wrong.append(f"{file.name} was refused although sound")
    for _ in range(mutants):
        case = rng.choice(cases)
        file, good, _ = case
        line = line_of(good, file)
        kind = rng.randrange(3)
        bad = good if kind == 0 else mutant(rng, good)
        published = {0: mutant(rng, line) or b"x", 1: line, 2: line_of(bad, file)}[kind]
        outcome = await read(reader, shelf, case, tally, bad, published)
        allowed = {0: {"CHECKSUM", "equal"}, 1: {"CHECKSUM"} if bad != good else {"equal"}, 2: {"SCHEMA", "equal"}}[
            kind
        ]
        if outcome not in allowed:
            tally.wrong.append(f"{file.name}: mutant of kind {kind} became {outcome}")


async def flood(reader, shelf, tally):
    """The largest files that the caps let through, and some beyond them."""
    name = "BUSDT-1m-2025-06-01"
    file = ArchiveFile(name=f"{name}.zip", path=f"{name}.zip", span=(DAY, DAY + DAY_MS), size=1, stamp="s")
    rng = random.Random(3)
    row = "{},1.{},2.5,0.5,1.5,10.{},0,12.5,3,4,5,0\n"
    text = "".join(row.format(DAY + k, rng.randrange(10**6), rng.randrange(10**5)) for k in range(1440))
    for content in (text * (strict_zip.MAX_CSV_BYTES // len(text)), text * (strict_zip.MAX_CSV_BYTES // len(text) + 1),
                    b"0" * strict_zip.MAX_CSV_BYTES, random.Random(1).randbytes(strict_zip.MAX_ZIP_BYTES - 20_000)):  # fmt: skip
        data = zipped(f"{name}.csv", content)
        case = (file, data, klines_csv)
        shelf.zip, shelf.sum, shelf.zips = data, line_of(data, file), 0
        try:
            await reader.read(*case[::2])
            tally.note("equal", shelf.zips)
        except SchemaError:
            tally.note("SCHEMA", shelf.zips)
        del data, case, content


def main():
    files, truncated, mutants = map(int, sys.argv[1:])
    stamina.set_active(False)
    shelf, tally = Shelf(), Tally()
    rows = archive._rows

    def watched(data, file, parse):
        tally.counts["unverified"] += not shelf.sum.startswith(sha256_hex(data).encode())
        return rows(data, file, parse)

    archive._rows = watched

    async def run():
        urls = {"rest_url": BASE, "futures_url": BASE, "archive_url": BASE}
        market = BinanceMarketData(BinanceSettings(**urls), 1.3, httpx2.MockTransport(shelf.answer))
        await flood(market._archive, shelf, tally)
        await damage(market._archive, shelf, tally, files, truncated, mutants)
        await market.aclose()

    asyncio.run(run())
    print(json.dumps({**tally.counts, "wrong": tally.wrong[:20], "peak_bytes": peak_resident_bytes()}))


if __name__ == "__main__":
    main()
