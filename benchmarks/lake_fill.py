"""`huracan lake fill` on a large simulated archive: CPU beside nothing but sha256 and unzip of the same files, and peak
memory.

One month of one-minute bars stands for every symbol's (the zips differ in their member's name only), served by a
process of its own. ``python benchmarks/lake_fill.py --symbols 2000 --months 1 [--kill]``; `--kill` ends the first fill
half-way.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import numpy as np

MINUTES = {"2025-10": 44_640, "2025-11": 43_200, "2025-12": 44_640, "2026-01": 44_640, "2026-02": 40_320}
FIRST = {"2025-10": 1_759_276_800_000, "2025-11": 1_761_955_200_000, "2025-12": 1_764_547_200_000,
         "2026-01": 1_767_225_600_000, "2026-02": 1_769_904_000_000}  # fmt: skip
HEADER = b"open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n"


def month_csv(month: str) -> bytes:
    """Bars of a random walk with the digits of a real contract."""
    rng = np.random.default_rng(7)
    count = MINUTES[month]
    close = 100 * np.exp(np.cumsum(rng.normal(0, 8e-4, count)))
    spread = np.abs(rng.normal(0, 5e-4, (2, count)))
    volume, trades = rng.gamma(1.5, 900, count), rng.poisson(300, count)
    lines = [HEADER]
    for i in range(count):
        opened = close[max(i - 1, 0)]
        high, low = max(opened, close[i]) * (1 + spread[0, i]), min(opened, close[i]) * (1 - spread[1, i])
        at, share = FIRST[month] + i * 60_000, 0.4 + 0.2 * spread[0, i] * 1000 % 0.6
        lines.append(
            b"%d,%.4f,%.4f,%.4f,%.4f,%.3f,%d,%.6f,%d,%.3f,%.6f,0\n"
            % (at, opened, high, low, close[i], volume[i], at + 59_999, volume[i] * close[i], trades[i],
               volume[i] * share, volume[i] * close[i] * share)
        )  # fmt: skip
    return b"".join(lines)


class Stored:
    """A month's deflated rows, to be wrapped in a zip under any name."""

    def __init__(self, month: str) -> None:
        text = month_csv(month)
        packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
        self.packed = packer.compress(text) + packer.flush()
        self.sizes = (zlib.crc32(text), len(self.packed), len(text))

    def zip(self, name: str) -> bytes:
        member = name.encode()
        shared = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, *self.sizes, len(member), 0)
        local = b"PK\x03\x04" + shared + member
        central = b"PK\x01\x02" + struct.pack("<H", 20) + shared + struct.pack("<HHHII", 0, 0, 0, 0, 0) + member
        at = len(local) + len(self.packed)
        end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), at, 0)
        return local + self.packed + central + end


def serve(symbols: int, months: list[str], pipe: Connection) -> None:
    stored = {month: Stored(month) for month in months}
    names = [f"C{number:05d}USDT" for number in range(symbols)]
    root = "data/futures/um/monthly/klines/"
    sums: dict[str, str] = {}

    def files(symbol: str) -> list[str]:
        return [f"{root}{symbol}/1m/{symbol}-1m-{month}.zip" for month in months]

    def body_of(key: str) -> bytes:
        name = key.rpartition("/")[2]
        return stored[name[-11:-4]].zip(name.removesuffix(".zip") + ".csv")

    def listing(query: dict[str, str]) -> bytes:
        prefix, marker = query["prefix"], query.get("marker", "")
        if query.get("delimiter"):
            keys = [f"{root}{name}/" for name in names] if prefix == root else []
        else:
            parts = prefix.split("/")
            keys = files(parts[5]) if prefix.startswith(root) else []
            keys = sorted([*keys, *(key + ".CHECKSUM" for key in keys)])
        keys = [key for key in keys if key > marker]
        cut = len(keys) > 1000
        items = "".join(
            f"<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>"
            if key.endswith("/")
            else f"<Contents><Key>{key}</Key><ETag>&quot;x&quot;</ETag><Size>2000000</Size></Contents>"
            for key in keys[:1000]
        )
        head = f"<Prefix>{prefix}</Prefix><IsTruncated>{str(cut).lower()}</IsTruncated>"
        return f"<ListBucketResult>{head}{items}</ListBucketResult>".encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            key = parts.path.lstrip("/")
            if not key:
                body = listing(dict(parse_qsl(parts.query)))
            elif key.endswith(".CHECKSUM"):
                wanted = key.removesuffix(".CHECKSUM")
                if wanted not in sums:
                    sums[wanted] = hashlib.sha256(body_of(wanted)).hexdigest()
                body = f"{sums[wanted]}  {wanted.rpartition('/')[2]}".encode()
            else:
                body = body_of(key)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    pipe.send((server.server_address[1], {month: stored[month].sizes for month in months}))
    server.serve_forever()


def cpu_of_children() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def unzip_seconds(months: list[str], times: int = 5) -> float:
    """CPU of sha256 and unzip of one of the files, on average."""
    spent = 0.0
    for month in months:
        data = Stored(month).zip("x.csv")
        began = time.process_time()
        for _ in range(times):
            hashlib.sha256(data).hexdigest()
            with zipfile.ZipFile(BytesIO(data)) as archive:
                archive.read("x.csv")
        spent += (time.process_time() - began) / times
    return spent / len(months)


def fill(port: int, workdir: str, months: list[str], kill_after: float | None = None) -> dict:
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "huracan.cli.main", "lake", "fill", "--json", "--market", "um", "--interval", "1m"]
    command += ["--workdir", workdir, "--from", f"{months[0]}-01", "--to", "2026-02-28"]
    command += [
        part for key in ("rest_url", "futures_url", "archive_url") for part in ("--set", f"binance.{key}={url}")
    ]
    began, cpu = time.monotonic(), cpu_of_children()
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ)
    try:
        out, _ = running.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        running.send_signal(signal.SIGKILL)
        running.communicate()
        return {"killed_after": kill_after}
    return {**json.loads(out), "wall": time.monotonic() - began, "cpu": cpu_of_children() - cpu}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--symbols", type=int, default=40)
    parser.add_argument("--months", type=int, default=2)
    parser.add_argument("--kill", type=float, help="seconds after which a first fill is killed")
    arguments = parser.parse_args()
    months = list(MINUTES)[-arguments.months :]
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(arguments.symbols, months, there), daemon=True)
    server.start()
    port, _ = here.recv()
    try:
        with tempfile.TemporaryDirectory() as workdir:
            if arguments.kill:
                print(f"first fill killed after {arguments.kill:g} s", fill(port, workdir, months, arguments.kill))
            done = fill(port, workdir, months)
            size = sum(file.stat().st_size for file in Path(workdir).rglob("*") if file.is_file())
            again = fill(port, workdir, months)
    finally:
        server.terminate()
        server.join()
    plain = unzip_seconds(months)
    files = arguments.symbols * arguments.months
    rows = arguments.symbols * sum(MINUTES[month] for month in months)
    print(
        f"{arguments.symbols:,} symbols x {arguments.months} months of minutes, {done['files']:,} files read of {files:,}"
    )
    print(
        f"fill: {done['rows']:,} rows, {done['bytes'] / 1e6:,.0f} MB received, {done['wall']:.1f} s, CPU {done['cpu']:.1f} s"
    )
    print(f"peak memory {done['peak_memory_bytes'] / 1e6:,.0f} MB; lake {size / rows:.1f} bytes a row")
    if done["files"]:
        each = done["cpu"] / done["files"]
        print(
            f"CPU a file: fill {each * 1e3:.1f} ms, sha256 and unzip alone {plain * 1e3:.1f} ms, x {each / plain:.2f}"
        )
    print(
        f"the same fill again: {again['files']} files, {again['rows']} rows, {again['wall']:.1f} s, CPU {again['cpu']:.1f} s"
    )


if __name__ == "__main__":
    main()
