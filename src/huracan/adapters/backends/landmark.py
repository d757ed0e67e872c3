"""Whether the machines of a cluster see the folder a run works in: asked with a file, since equal paths prove nothing."""

import os
import tempfile
from pathlib import Path
from typing import Final

PREFIX: Final = ".landmark-"


def plant(folder: Path) -> Path:
    """A new empty file of this run in its folder, to be removed at its end; those of killed runs go now.

    For the one run that holds the folder. Its name is new every time, so no cache of a network file system knows it.
    """
    for left in folder.glob(f"{PREFIX}*"):
        left.unlink(missing_ok=True)
    descriptor, path = tempfile.mkstemp(prefix=PREFIX, dir=folder)
    os.close(descriptor)
    return Path(path)


def obstacle(landmark: str) -> str:
    """What keeps this machine from working in the folder of a landmark; empty where nothing does."""
    path = Path(landmark)
    try:
        path.read_bytes()
    except FileNotFoundError:
        return "another folder lies there" if path.parent.is_dir() else "nothing lies there"
    except OSError as error:
        return error.strerror or type(error).__name__
    return "" if os.access(path.parent, os.W_OK) else "it cannot be written to"
