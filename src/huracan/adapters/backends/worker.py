"""What runs in a worker process: read a job, run it, answer; standard library only until a job needs more.

Messages are frames of JSON (8 bytes of length, big-endian, then the text) on the process's own stdin and stdout. Before
the first job both are moved away, so a job that prints writes to stderr and cannot break the protocol.
A worker ends when its parent does: the kernel is asked to (Linux), and the end of the pipe says so everywhere.
"""

import asyncio
import importlib
import inspect
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, BinaryIO, Literal, TypedDict

MAX_MESSAGE = 1 << 30
PR_SET_PDEATHSIG = 1


class JobMessage(TypedDict):
    """One job for a worker; `job_type` is the address of the class that reads it, None for plain JSON."""

    function: str
    job: Any
    job_type: str | None


class DoneReply(TypedDict):
    """The answer to a job that returned."""

    ok: Literal[True]
    result: Any


class FailedReply(TypedDict):
    """The answer to a job that raised: the error's class, its text, and the end of a ban where there is one."""

    ok: Literal[False]
    type: str
    message: str
    until_ms: int | None
    traceback: str


Reply = DoneReply | FailedReply


def write_message(stream: BinaryIO, value: Any) -> None:
    """Send one message; NaN and infinities pass (both ends are Python)."""
    data = json.dumps(value, default=plain_number).encode()
    stream.write(len(data).to_bytes(8, "big") + data)
    stream.flush()


def read_message(stream: BinaryIO) -> Any:
    """The next message; raises EOFError at the end of the stream."""
    head = stream.read(8)
    if len(head) < 8:
        raise EOFError
    size = int.from_bytes(head, "big")
    data = stream.read(size)
    if size > MAX_MESSAGE or len(data) < size:
        raise EOFError
    return json.loads(data)


def plain_number(value: Any) -> Any:
    """Numpy scalars and arrays as numbers and lists; TypeError for what JSON cannot hold."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a job gave a {type(value).__name__}, which is not JSON; wanted numbers, text, lists and dicts")


def resolve(address: str) -> Any:
    """The object at ``module:qualified.name``."""
    module, _, name = address.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def answer(message: JobMessage) -> Reply:
    """Run one job; the answer holds its result, or its error as text."""
    try:
        job = message["job"]
        if message["job_type"]:
            job = resolve(message["job_type"]).from_json(job)
        function: Callable[[Any], Any] = resolve(message["function"])
        result = function(job)
        if inspect.isawaitable(result):
            result = asyncio.run(_wait(result))
        return {"ok": True, "result": json.loads(json.dumps(result, default=plain_number))}
    except Exception as error:  # the job boundary: whatever a job raises is its result
        return {
            "ok": False,
            "type": type(error).__name__,
            "message": str(error),
            "until_ms": getattr(error, "until_ms", None),
            "traceback": traceback.format_exc(),
        }


async def _wait(result: Any) -> Any:
    return await result


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer jobs until the source ends; the end of the source in the middle of a job ends the process at once."""
    inbox: SimpleQueue[JobMessage | None] = SimpleQueue()
    busy = threading.Event()
    threading.Thread(target=_read, args=(source, inbox, busy), daemon=True).start()
    write_message(sink, {"ready": os.getpid()})
    while (message := inbox.get()) is not None:
        busy.set()
        reply = answer(message)
        busy.clear()
        write_message(sink, reply)


def _read(source: BinaryIO, inbox: "SimpleQueue[JobMessage | None]", busy: threading.Event) -> None:
    try:
        while True:
            inbox.put(read_message(source))
    except (EOFError, OSError):
        if busy.is_set():
            os._exit(1)
        inbox.put(None)


def _die_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def take_pipes(parent: int) -> tuple[BinaryIO, BinaryIO]:
    """Source and sink of messages, out of reach of whatever prints or reads here; this process ends with its parent."""
    _die_with_parent(parent)
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return source, sink


def main() -> None:
    """Entry of a worker process; arguments: the parent's process id, then its import path."""
    source, sink = take_pipes(int(sys.argv[1]))
    sys.path[:] = sys.argv[2:]
    serve(source, sink)


if __name__ == "__main__":
    main()
