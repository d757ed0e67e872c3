"""What travels between the driver and its workers: jobs, results and errors as JSON, functions as ``module:name``."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

import huracan.errors
from huracan.adapters.backends.worker import FailedReply, JobMessage, Reply, plain_number, resolve
from huracan.errors import BannedError, HuracanError, JobFailedError
from huracan.ports import JobFunction

SINGLE_THREADED: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
)
_KEPT_FROM_WORKERS: Final = ("HURACAN_ROOT_PASSPHRASE", "HURACAN_KEYS_DIR")
_SECRET_WORDS: Final = ("TOKEN", "SECRET", "PASSPHRASE", "PASSWORD", "KEY", "CREDENTIAL")


def address_of(function: JobFunction) -> str | None:
    """``module:qualified.name`` where a worker can import exactly this function, else None.

    None for closures, lambdas, bound methods, partials, and everything in a script (``__main__``) or another module
    that our import path does not lead to.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not module or not name or module == "__main__" or "<" in name:
        return None
    address = f"{module}:{name}"
    try:
        return address if _found_on_path(module) and resolve(address) is function else None
    except (ImportError, AttributeError):
        return None


@cache
def _found_on_path(module: str) -> bool:
    """Whether a fresh process with our import path finds the module; being loaded here says nothing about that."""
    path, name = None, ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        specs = (finder.find_spec(name, path) for finder in sys.meta_path)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is None:
            return False
        path = spec.submodule_search_locations
    return True


def without_secrets(environment: Mapping[str, str], *owners: str) -> dict[str, str]:
    """An environment without what only the driver needs: Dropbox, signing keys, tokens of ours (and of `owners`)."""
    prefixes = ("HURACAN_", *owners)
    return {
        name: value
        for name, value in environment.items()
        if name not in _KEPT_FROM_WORKERS
        and not name.startswith("DROPBOX_")
        and not (name.startswith(prefixes) and any(word in name for word in _SECRET_WORDS))
    }


def worker_environment() -> dict[str, str]:
    """Our environment for a worker process: no secrets, one thread for every library."""
    return {**without_secrets(os.environ, "RAY_"), **dict.fromkeys(SINGLE_THREADED, "1")}


def encode(address: str, job: Any) -> bytes:
    """A job as a message; raises JobFailedError for one that JSON cannot hold."""
    kind = type(job)
    typed = hasattr(job, "to_json") and hasattr(kind, "from_json")
    message: JobMessage = {
        "function": address,
        "job": job.to_json() if typed else job,
        "job_type": f"{kind.__module__}:{kind.__qualname__}" if typed else None,
    }
    try:
        return json.dumps(message, default=plain_number).encode()
    except (TypeError, ValueError) as error:
        raise JobFailedError(f"a job for worker processes must be JSON-able{_of_pair(job)}: {error}") from error


def decode(reply: Reply) -> Any:
    """The result in a reply; raises the error in it, ours as they were, others as JobFailedError."""
    if reply["ok"]:
        return reply["result"]
    ours = {kind.__name__: kind for kind in _family(HuracanError) if kind.__module__ == huracan.errors.__name__}
    kind = ours.get(reply["type"])
    if kind is None or kind is JobFailedError:
        text = f"{reply['type']}: {reply['message']}"
        raise JobFailedError(text, error_type=reply["type"], traceback=reply["traceback"])
    extra = {"until_ms": reply["until_ms"]} if kind is BannedError else {}
    error = kind(reply["message"], **extra)
    if reply["traceback"]:
        error.add_note(reply["traceback"])
    raise error


def refusal(error: HuracanError) -> FailedReply:
    """A reply that makes `decode` raise this error, for errors that arose on the way to a worker."""
    return {"ok": False, "type": type(error).__name__, "message": str(error), "until_ms": None, "traceback": ""}


def name_of(job: Any) -> str:
    """A short description of a job, for messages about its worker."""
    return f"{getattr(job, 'job_id', None) or 'its job'}{_of_pair(job)}"


def _family(kind: type[HuracanError]) -> Iterator[type[HuracanError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)


def _of_pair(job: Any) -> str:
    coin, horizon = getattr(job, "coin", None), getattr(job, "horizon", None)
    return f" ({coin} {horizon})" if coin else ""
