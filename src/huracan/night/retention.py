"""What stays on disk after a night: the artefacts of the last two runs, so that the next one finds its cache."""

from huracan.night.ports import Ledger
from huracan.night.state import Night
from huracan.ports import ArtefactStore

RUNS = 2
"""Runs whose artefacts stay."""


def prune(store: ArtefactStore, ledger: Ledger, night: Night) -> int:
    """Delete what neither tonight nor the run before used, as the ledger has it; returns how many files went."""
    in_use = _used(night) | {_prefix(key) for key in ledger.keep_artefacts(RUNS)}
    to_delete = [key for key in store.list("") if _prefix(key) not in in_use]
    store.delete(to_delete)
    return len(to_delete)


def _used(night: Night) -> set[str]:
    keys = [record.key for record in night.all_prepared().values()]
    keys += [record.key for record in night.all_trained().values()]
    keys += [prior.artefact.key for priors in night.priors.values() for prior in priors]
    keys += [night.context.key] if night.context is not None else []
    return {_prefix(key) for key in keys}


def _prefix(key: str) -> str:
    """Kind and content hash: the first two segments of a key.

    >>> _prefix("train/ab12/linear-1/1h/panel.parquet")
    'train/ab12'
    """
    return "/".join(key.split("/")[:2])
