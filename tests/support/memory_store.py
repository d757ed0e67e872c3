"""Artefacts in memory, and what a record says of them."""

from records import cell

from huracan.domain.night_records import CellRecord
from huracan.night.jobs.artefacts import Artefacts


class Files(dict):
    """An artefact store in memory; a plain `get` is a dict's own."""

    def put(self, key, data):
        self.setdefault(key, data)

    def replace(self, key, data):
        self[key] = data


def in_memory() -> Artefacts:
    """Artefacts that nobody else can write to."""
    return Artefacts(Files())


def stored_cell(store: Artefacts, root: str, recipe_id: str = "linear-1", horizon: str = "1h", **frames) -> CellRecord:
    """The record of a cell whose frames are stored below its root."""
    files = {f"{name}.parquet": store.write_frame(f"{root}/{name}.parquet", frame) for name, frame in frames.items()}
    return cell(recipe_id, horizon, root=root, files=files)
