"""A bot with a worker process: `python asking_worker.py ARGUMENTS_AS_JSON` prints what parent and worker answer.

Run by itself, because a process of tests has long used polars. `warm`: the parent predicts first.
"""

import json
import multiprocessing
import os
import sys


def ask(arguments):
    """The edge from raw bars and from features, or the code of the error, of an interface of the process's own or inherited."""
    from huracan.errors import HuracanError
    from huracan.hamilton import HamiltonInterface

    hamilton = INHERITED.get("hamilton") or HamiltonInterface(
        arguments["store"],
        trusted_root=arguments["root"],
        state_dir=arguments["state"],
        now_ms=lambda: arguments["now_ms"],
    )
    INHERITED["hamilton"] = hamilton
    found = {"features": hamilton.predict("BTC", "1h", arguments["features"]).edge_bps}
    try:
        import polars as pl

        bars = INHERITED.get("bars")
        bars = pl.read_parquet(arguments["bars"]) if bars is None else bars
        found["bars"] = hamilton.predict_bars("BTC", "1h", bars, {"BTC": bars}, arguments["at"]).edge_bps
        INHERITED["bars"] = bars
    except HuracanError as error:
        found |= {"code": error.code, "error": str(error)}
    return found


INHERITED = {}


def answer(arguments, queue):
    """The worker's part."""
    queue.put(ask(arguments))


def main():
    """Ask here (if warm), then in a worker."""
    arguments = json.loads(sys.argv[1])
    told = {"parent": ask(arguments)} if arguments["warm"] else {}
    if arguments["opened"]:
        from huracan.hamilton import HamiltonInterface

        INHERITED["hamilton"] = HamiltonInterface(
            arguments["store"],
            trusted_root=arguments["root"],
            state_dir=arguments["state"],
            now_ms=lambda: arguments["now_ms"],
        )
        INHERITED["hamilton"].predict("BTC", "1h", arguments["features"])
    context = multiprocessing.get_context(arguments["start"])
    queue = context.Queue()
    worker = context.Process(target=answer, args=(arguments, queue))
    worker.start()
    told["worker"] = queue.get(timeout=arguments["wait_s"])
    worker.join()
    print(json.dumps(told), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
