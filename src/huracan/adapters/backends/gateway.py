"""The process between a driver and a cluster: it alone imports Dask or Ray, and may die of their faults.

Both print, warn, take signals, keep one connection a process, and Ray ends its process when the head is lost; none of
that reaches the process that holds the store's lock and the ledger. Frames as in `worker`; every request has an id.
"""

import asyncio
import base64
import os
import sys
import threading
import traceback
from dataclasses import asdict
from typing import Any, BinaryIO

from huracan.adapters.backends.messages import refusal
from huracan.adapters.backends.nodes import Cluster, Nodes
from huracan.adapters.backends.worker import read_message, take_pipes, write_message
from huracan.errors import BackendError, HuracanError

FAREWELL_S = 5.0


class Gateway:
    """Answers the driver's requests until the driver is gone."""

    def __init__(self, nodes: Nodes, sink: BinaryIO) -> None:
        self._nodes = nodes
        self._sink = sink
        self._requests: set[asyncio.Task[None]] = set()

    async def serve(self, inbox: "asyncio.Queue[Any]") -> None:
        """Start the cluster (BackendError or ConfigError when that fails), say so, answer; leave the cluster when the
        inbox ends.
        """
        try:
            await self._nodes.start()
            write_message(self._sink, {"id": 0, "ok": True})
            while (request := await inbox.get()) is not None:
                task = asyncio.create_task(self._answer(request))
                self._requests.add(task)
                task.add_done_callback(self._requests.discard)
        finally:
            await self._nodes.stop()
            if self._requests:
                await asyncio.wait(self._requests, timeout=FAREWELL_S)

    async def _answer(self, request: dict[str, Any]) -> None:
        reply: dict[str, Any]
        if request["op"] == "run":
            message = base64.b64decode(request["message"])
            reply = await self._nodes.run(request["token"], message, request["name"])
        elif request["op"] == "cancel":
            await self._nodes.cancel(request["token"])
            reply = {"ok": True}
        else:
            reply = await self._machines()
        write_message(self._sink, {"id": request["id"], **reply})

    async def _machines(self) -> dict[str, Any]:
        try:
            return {"ok": True, "result": [asdict(machine) for machine in await self._nodes.machines()]}
        except BackendError as error:
            return refusal(error)


def cluster_of(settings: dict[str, Any]) -> Cluster:
    """The cluster that settings name; raises BackendError naming the extra that is missing."""
    if settings["kind"] == "dask":
        from huracan.adapters.backends.dask import DaskCluster

        return DaskCluster(**settings["cluster"])
    from huracan.adapters.backends.ray import RayCluster

    return RayCluster(**settings["cluster"])


async def _run(source: BinaryIO, sink: BinaryIO) -> None:
    settings = await asyncio.to_thread(read_message, source)
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            while True:
                loop.call_soon_threadsafe(inbox.put_nowait, read_message(source))
        except (EOFError, OSError):
            loop.call_soon_threadsafe(inbox.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    try:
        wanted = {name: settings[name] for name in ("reserve", "code", "landmarks", "no_node_s")}
        nodes = Nodes(cluster_of(settings), **wanted)
        await Gateway(nodes, sink).serve(inbox)
    except HuracanError as error:
        write_message(sink, {"id": 0, **refusal(error)})


def main() -> None:
    """Entry of the process; its argument is the driver's process id."""
    source, sink = take_pipes(int(sys.argv[1]))
    try:
        asyncio.run(_run(source, sink))
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(0)  # neither Dask's nor Ray's threads are worth waiting for


if __name__ == "__main__":
    main()
