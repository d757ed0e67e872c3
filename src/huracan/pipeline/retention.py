"""What stays on disk after a night: the artefacts of the last two runs, so that the next one finds its cache."""

from huracan.pipeline.artefacts import get_json, put_json
from huracan.pipeline.night import Night
from huracan.ports import ArtefactStore

RUNS_KEPT = 2


def prune(store: ArtefactStore, night: Night) -> int:
    """Note what tonight used and delete what neither tonight nor the run before used; returns how many files went."""
    put_json(store, f"runs/{night.run_id}.json", sorted(_used(night)))
    runs = store.list("runs/")
    kept_runs = runs[-RUNS_KEPT:]
    kept = {prefix for run in kept_runs for prefix in get_json(store, run) or []}
    doomed = [key for key in store.list("") if not key.startswith("runs/") and _prefix(key) not in kept]
    store.delete([*doomed, *(run for run in runs if run not in kept_runs)])
    return len(doomed)


def _used(night: Night) -> set[str]:
    waves = (night.prepared, night.trained, night.former.prepared, night.former.trained)
    keys = [record["key"] for wave in waves for record in wave.values()]
    keys += [key for priors in night.priors.values() for key in priors.values()]
    keys += [night.context_key] if night.context_key else []
    return {_prefix(key) for key in keys}


def _prefix(key: str) -> str:
    """Kind and content hash: the first two segments of a key.

    >>> _prefix("train/ab12/linear-1/1h/panel.parquet")
    'train/ab12'
    """
    return "/".join(key.split("/")[:2])
