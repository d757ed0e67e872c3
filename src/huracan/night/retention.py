"""What stays on disk after a night: the artefacts of the last two runs, so that the next one finds its cache."""

from typing import Any

from huracan.night.state import Night
from huracan.ports import ArtefactStore

RUNS_KEPT = 2


def prune(store: ArtefactStore, ledger: Any, night: Night) -> int:
    """Delete what neither tonight nor the run before used, as the ledger has it; returns how many files went."""
    kept = _used(night) | {_prefix(key) for key in ledger.keep_artefacts(RUNS_KEPT)}
    doomed = [key for key in store.list("") if _prefix(key) not in kept]
    store.delete(doomed)
    return len(doomed)


def _used(night: Night) -> set[str]:
    waves = (night.prepared, night.trained, night.former.prepared, night.former.trained)
    keys = [record["key"] for wave in waves for record in wave.values()]
    keys += [key for priors in night.priors.values() for key, _ in priors.values()]
    keys += [night.context_key] if night.context_key else []
    return {_prefix(key) for key in keys}


def _prefix(key: str) -> str:
    """Kind and content hash: the first two segments of a key.

    >>> _prefix("train/ab12/linear-1/1h/panel.parquet")
    'train/ab12'
    """
    return "/".join(key.split("/")[:2])
