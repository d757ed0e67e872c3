"""Jobs inside this process, for functions that no worker process could import: closures, lambdas, bound methods."""

import asyncio
import contextlib
import inspect
import threading
from dataclasses import dataclass
from typing import Any

from huracan.errors import JobFailedError
from huracan.ports import JobFunction, Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class InProcess:
    """Backend without workers: coroutine functions run on the event loop, others each in a thread of their own.

    Threads share the interpreter lock, and one that runs too long cannot be ended: its job is given up, the thread is
    left behind. Whatever a job raises is raised as it is.
    """

    slots: int = 10

    async def start(self) -> None:
        """Nothing to bring up."""

    async def run(self, function: JobFunction, job: Any) -> Any:
        """The job's result."""
        try:
            result = function(job) if _gives_coroutine(function) else await _in_thread(function, job)
            return await result if inspect.isawaitable(result) else result
        except SystemExit as error:
            raise JobFailedError(f"the job called exit({error.code})", error_type="SystemExit") from error

    async def stop(self) -> None:
        """Nothing to shut down."""

    async def machines(self) -> list[Machine]:
        """Our own process, whose threads share all memory there is."""
        return [Machine(slots=self.slots)]


async def _in_thread(function: JobFunction, job: Any) -> Any:
    """Run in a daemon thread: unlike an executor's, it cannot keep the process alive after a time-out."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def resolve(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def work() -> None:
        result: Any = None
        problem: BaseException | None = None
        try:
            result = function(job)
        except (StopIteration, asyncio.CancelledError) as error:  # a future cannot carry these as a failure
            problem = JobFailedError(f"the job raised {type(error).__name__}", error_type=type(error).__name__)
        except BaseException as error:
            problem = error
        with contextlib.suppress(RuntimeError):  # the loop is closed, so the result is not awaited any more
            loop.call_soon_threadsafe(resolve, result, problem)

    threading.Thread(target=work, name="huracan-job", daemon=True).start()
    return await future


def _gives_coroutine(function: JobFunction) -> bool:
    call = getattr(type(function), "__call__", None)  # noqa: B004 - whether calling gives a coroutine, not whether it is callable
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
