"""Artefacts in memory, and what a record says of them."""

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


def stored_cell(store: Artefacts, root: str, **frames) -> dict:
    """What a cell's record says of frames that are stored below its root."""
    files = {f"{name}.parquet": store.write_frame(f"{root}/{name}.parquet", frame) for name, frame in frames.items()}
    return {"root": root, "files": files}
