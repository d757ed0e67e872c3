"""Functions that worker processes import by name; what they do is said by their names."""

import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from huracan.errors import BannedError, SchemaError, UpstreamError


@dataclass
class SmallJob:
    """A job whose module imports next to nothing, so that a fresh worker costs next to nothing."""

    coin: str
    horizon: str = "1h"
    payload: dict = field(default_factory=dict)

    def to_json(self):
        return {"coin": self.coin, "horizon": self.horizon, "payload": self.payload}

    @classmethod
    def from_json(cls, value):
        return cls(**value)


SECRETS = ("DROPBOX", "PASSPHRASE", "KEYS_DIR", "TOKEN")


def secrets_above(driver):
    """The driver's secrets in the environment of any process between this one and the driver."""
    found, pid = set(), os.getppid()
    while pid not in {0, 1, driver}:
        for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            name = entry.partition(b"=")[0].decode()
            if name.startswith(("DROPBOX_", "HURACAN_")) and any(word in name for word in SECRETS):
                found.add(name)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return sorted(found)


def name_the_coin(job):
    return job.coin


def describe(job):
    print("noise on stdout", flush=True)
    os.write(1, b"noise below python\n")
    return {
        "coin": job.coin,
        "payload": job.payload,
        "pid": os.getpid(),
        "threads": {
            name: os.environ[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
        },
        "secrets": sorted(name for name in os.environ if any(word in name for word in SECRETS)),
        "secrets_above": secrets_above(job.payload.get("driver")),
        "stdin": sys.stdin.read(),
    }


async def name_the_coin_later(job):
    return job.coin


def plain_value(job):
    return job


def numpy_numbers(job):
    import numpy as np

    return {"mean": np.float64(0.5), "row": np.arange(3), "nan": float("nan"), "pair": (1, 2)}


def something_without_json(job):
    return {"model": object()}


def behave_as_named(job):
    """Die, fail, hang or work, as the payload says."""
    what = job.payload.get("what")
    log = job.payload.get("log")
    if log:
        with Path(log).open("a") as stream:
            stream.write(f"{job.coin} {what}\n")
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "segfault":
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGSEGV)
    elif what == "abort":
        os.abort()
    elif what == "exit":
        sys.exit(3)
    elif what == "raise":
        raise ValueError(f"no such thing as {job.coin}")
    elif what == "bad data":
        raise SchemaError("columns changed")
    elif what == "upstream":
        raise UpstreamError("no answer")
    elif what == "banned":
        raise BannedError("banned", until_ms=77)
    elif what == "hang":
        time.sleep(3600)
    return job.coin


def tell_pid_and_hang(job):
    Path(job.payload["file"]).write_text(str(os.getpid()))
    time.sleep(3600)


class Holder:
    @staticmethod
    def static(job):
        return job.coin


def meet(job):
    """Wait until as many jobs as the payload says are here at once."""
    folder = Path(job.payload["folder"])
    (folder / job.coin).touch()
    while len(list(folder.iterdir())) < job.payload["many"]:
        time.sleep(0.01)
    return job.coin


def note_the_start(job):
    with Path(job.payload["log"]).open("a") as stream:
        stream.write(f"{job.coin}\n")
    return job.coin


def fail_until(job):
    if job.attempts <= job.payload["failures"]:
        raise UpstreamError("not yet")
    return job.attempts


def hold_memory(job):
    return len(bytearray(b"x") * (job.payload["megabytes"] << 20))


def overlap(job):
    """How many jobs of this folder are at work at once, this one included."""
    mine = Path(job.payload["folder"]) / job.coin
    mine.touch()
    time.sleep(0.3)
    seen = len(list(mine.parent.iterdir()))
    mine.unlink()
    return seen


def bars_and_place(job):
    """Rows of the lake at a path, and the network namespace this ran in.

    Every job waits until jobs run on two machines, and its answer until the file `lost` is there.
    """
    from huracan.adapters.lake import DeltaLake
    from huracan.domain.ids import Instrument

    folder = Path(job.payload["meeting"])
    place = str(Path("/proc/self/ns/net").readlink())
    (folder / f"at-{place.strip('net:[]')}").touch()
    while len(list(folder.glob("at-*"))) < 2 or not (folder / "lost").exists():
        time.sleep(0.05)
    instrument = Instrument(**job.payload["instrument"])
    bars = DeltaLake(job.payload["lake"]).bars(instrument, 0, 1 << 60)
    return {"rows": bars.height, "place": place}
