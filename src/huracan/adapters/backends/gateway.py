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
from typing import BinaryIO

from huracan.adapters.backends.messages import refusal
from huracan.adapters.backends.nodes import Cluster, Nodes
from huracan.adapters.backends.requests import GatewaySettings, NumberedReply, NumberedRequest, Request
from huracan.adapters.backends.supervisor import machine_fields
from huracan.adapters.backends.worker import DoneReply, Reply, read_message, take_pipes, write_message
from huracan.errors import BackendError, HuracanError

FAREWELL_S = 5.0


class Gateway:
    """Answers the driver's requests until the driver is gone."""

    def __init__(self, nodes: Nodes, sink: BinaryIO) -> None:
        self._nodes = nodes
        self._sink = sink
        self._requests: set[asyncio.Task[None]] = set()

    async def serve(self, inbox: "asyncio.Queue[NumberedRequest | None]") -> None:
        """Start the cluster (BackendError or ConfigError when that fails), say so, answer; leave the cluster when the
        inbox ends.
        """
        try:
            await self._nodes.start()
            _send(self._sink, 0, DoneReply(ok=True, result=None))
            while (request := await inbox.get()) is not None:
                task = asyncio.create_task(self._answer(request["id"], request["request"]))
                self._requests.add(task)
                task.add_done_callback(self._requests.discard)
        finally:
            await self._nodes.stop()
            if self._requests:
                await asyncio.wait(self._requests, timeout=FAREWELL_S)

    async def _answer(self, number: int, request: Request) -> None:
        reply: Reply
        if request["op"] == "run":
            message = base64.b64decode(request["message"])
            reply = await self._nodes.run(request["token"], message, request["name"])
        elif request["op"] == "cancel":
            await self._nodes.cancel(request["token"])
            reply = DoneReply(ok=True, result=None)
        else:
            reply = await self._machines()
        _send(self._sink, number, reply)

    async def _machines(self) -> Reply:
        try:
            machines = await self._nodes.machines()
        except BackendError as error:
            return refusal(error)
        return {"ok": True, "result": [machine_fields(machine) for machine in machines]}


def _send(sink: BinaryIO, number: int, reply: Reply) -> None:
    write_message(sink, NumberedReply(id=number, reply=reply))


def cluster_of(settings: GatewaySettings) -> Cluster:
    """The cluster that settings name; raises BackendError naming the extra that is missing."""
    if settings["kind"] == "dask":
        from huracan.adapters.backends.dask import DaskCluster

        return DaskCluster(**settings["cluster"])
    from huracan.adapters.backends.ray import RayCluster

    return RayCluster(**settings["cluster"], gpu_per_worker=settings["gpu_per_worker"])


async def _run(source: BinaryIO, sink: BinaryIO) -> None:
    settings: GatewaySettings = await asyncio.to_thread(read_message, source)
    inbox: asyncio.Queue[NumberedRequest | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            while True:
                loop.call_soon_threadsafe(inbox.put_nowait, read_message(source))
        except (EOFError, OSError):
            loop.call_soon_threadsafe(inbox.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    try:
        nodes = Nodes(
            cluster_of(settings),
            reserve=settings["reserve"],
            code=settings["code"],
            landmarks=settings["landmarks"],
            no_node_s=settings["no_node_s"],
        )
        await Gateway(nodes, sink).serve(inbox)
    except HuracanError as error:
        _send(sink, 0, refusal(error))


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
