"""Paths inside a store, apart from what its names mean: a lock on a store needs no signatures."""

from huracan.errors import PublishError


def inside(path: str) -> str:
    """The path, where it leads to a file below a store's root; raises PublishError for any other text."""
    if any(part in {"", ".", ".."} or "\0" in part or "\\" in part for part in path.split("/")):
        raise PublishError(f"{path[:100]!r} is not a path inside a store")
    return path
