"""A night that is only told, for tests of what a terminal shows: `python told_night.py WORKDIR MODE`, run in a process of its own.

MODE is "done", "broken" (an exception in the middle) or "waiting" (until Ctrl-C); more arguments are "verbose", "json".
"""

import asyncio
import sys
from pathlib import Path

from huracan.cli.main import main
from huracan.cli.notices import Notices
from huracan.cli.watching import say_notices, watched
from huracan.night.stages import Stage

COINS = tuple(f"COIN{number}USDT-um" for number in range(6))


async def told(telemetry, workdir, mode):
    telemetry.event("workdir_opened", folder=workdir, last_success_ms=None)
    telemetry.event("root_key_unprotected", folder="/the/keys")
    with Stage(telemetry, 1):
        telemetry.event("run_started", run_id="20260302T0000-19c", horizons=("1h",), dry_run=False)
        telemetry.event("universe_built", members=6, pairs=8, former=0, now="", source="")
        telemetry.event("skips_counted", skips=2, cells=8)
    with Stage(telemetry, 2):
        telemetry.event("wave_started", wave="ingest", jobs=len(COINS))
        for coin in COINS:
            telemetry.event("job_started", coin=coin, wave="ingest", attempt=1)
        await asyncio.sleep(1.0)
        if mode == "broken":
            raise ZeroDivisionError("in the middle")
        if mode == "waiting":
            await asyncio.Event().wait()
        for coin in COINS:
            spent = {"seconds": 1.0, "peak_memory_bytes": 300 << 20}
            telemetry.event("job_finished", coin=coin, wave="ingest", attempt=1, cached=False, **spent)
            await asyncio.sleep(0.2)
        telemetry.event("wave_finished", wave="ingest", seconds=1.0)
        telemetry.event("skips_counted", skips=3, cells=8)
    telemetry.event("run_finished", run_id="20260302T0000-19c", champions=0)


def run(workdir, mode, verbose, as_json):
    notices = Notices()
    try:
        with watched(notices, as_json=as_json, verbose=verbose) as telemetry:
            asyncio.run(told(telemetry, workdir, mode))
        print("THE TABLES", flush=True)
    finally:
        if not as_json:
            say_notices(notices)


if __name__ == "__main__":
    workdir, mode, *more = sys.argv[1:]
    import huracan.cli.night

    huracan.cli.night.run_night = lambda **_: run(str(Path(workdir)), mode, "verbose" in more, "json" in more)
    main(["run", *(["--json"] if "json" in more else [])])
