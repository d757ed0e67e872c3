"""Whether the machines of a cluster reach the places a run works in: asked with a file there, since equal paths prove
nothing.

A place is a folder or a bucket's URL; a landmark is what `plant` has put there, given by its address.
"""

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex
from typing import Final

from huracan.adapters.artefacts import BucketArtefacts, open_artefacts
from huracan.adapters.endpoints import is_url, loopback_endpoint
from huracan.errors import ConfigError, HuracanError, PublishError

PATIENCE_S: Final = 10.0
_IN_FOLDERS: Final = ".landmark-"
_IN_BUCKETS: Final = "landmark"


def plant(place: str) -> str:
    """The address of a landmark. Raises PublishError for a bucket that takes none.

    In a folder it is new, so no cache of a network file system knows its name; those of killed runs go now, so this is
    for the one run that holds the folder. In a bucket it stays: its name is one in the world, and every run's the same.
    """
    if is_url(place):
        open_artefacts(place, allow_http=loopback_endpoint(os.environ)).put(_IN_BUCKETS, b"")
        return f"{place}/{_IN_BUCKETS}"
    for left in Path(place).glob(f"{_IN_FOLDERS}*"):
        left.unlink(missing_ok=True)
    descriptor, path = tempfile.mkstemp(prefix=_IN_FOLDERS, dir=place)
    os.close(descriptor)
    return path


def uproot(landmark: str) -> None:
    """Remove one from a folder."""
    if not is_url(landmark):
        Path(landmark).unlink(missing_ok=True)


async def obstacles(landmarks: Sequence[str]) -> dict[str, str]:
    """What keeps this machine from reading and writing beside each landmark; only of those where something does."""
    found = await asyncio.gather(*(_obstacle(landmark) for landmark in landmarks))
    return {landmark: obstacle for landmark, obstacle in zip(landmarks, found, strict=True) if obstacle}


async def _obstacle(landmark: str) -> str:
    look = _in_bucket if is_url(landmark) else _in_folder
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await asyncio.to_thread(look, landmark)
    except TimeoutError:
        return f"no answer within {PATIENCE_S:g} s"


def _in_folder(landmark: str) -> str:
    folder = Path(landmark).parent
    try:
        Path(landmark).read_bytes()
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except FileNotFoundError:
        return "another folder lies there" if folder.is_dir() else "nothing lies there"
    except OSError as error:
        return error.strerror or type(error).__name__


def _in_bucket(landmark: str) -> str:
    place, _, name = landmark.rpartition("/")
    own = f"{name}-{token_hex(8)}"
    try:
        store = BucketArtefacts(place, allow_http=loopback_endpoint(os.environ), patience_s=PATIENCE_S / 3)
        if store.get(name) is None:
            return "no landmark lies there"
        store.put(own, b"")
        store.delete([own])
    except (ConfigError, PublishError) as error:
        return str(error)
    return ""


def refusal_of(machine: str, obstacles: dict[str, str]) -> HuracanError | None:
    """The error for a machine that met these obstacles, None where it met none."""
    if not obstacles:
        return None
    landmark, obstacle = next(iter(obstacles.items()))
    place = landmark.rpartition("/")[0]
    if is_url(place):
        return ConfigError(
            f"{machine} does not reach {place} ({obstacle}), where its jobs would read and write; give its workers' "
            "environment what this machine's has for the bucket (AWS_*, GOOGLE_*, AZURE_*), start them anew and run again"
        )
    return ConfigError(
        f"{machine} does not share this run's folder {place} ({obstacle}), where its jobs would read and write; set "
        "storage.lake_url and storage.artefacts_url to places in a bucket, or mount the folder there under the same path, "
        "then run again"
    )
