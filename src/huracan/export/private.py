"""Whether a file lies where others could put another one in its place."""

import os
import stat
from pathlib import Path

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def modes_are_real() -> bool:
    """Whether a file's mode says who may write it; on Windows it does not, and every file looks open to everybody."""
    return hasattr(os, "geteuid")


def open_parent(path: Path) -> Path | None:
    """The nearest folder on the way to a path into which others than its owner may write, or None; links are followed,
    too.

    A sticky folder such as /tmp is no such folder where what lies in it on the way is this user's or root's, since
    nobody else can rename that. Neither is one that only a group may write which is this user's alone, as many systems
    make homes and Kubernetes makes volumes. The group of root counts as shared. Where modes say nothing (Windows),
    always None.
    """
    if not modes_are_real():
        return None
    for way in dict.fromkeys((path.absolute(), path.resolve())):
        below = way
        for folder in way.parents:
            if _others_may_write(folder, below):
                return folder
            below = folder
    return None


def _others_may_write(folder: Path, below: Path) -> bool:
    try:
        mode = folder.stat()
    except OSError:
        return False  # not there yet, or not ours to look at: then it cannot be used either
    if not mode.st_mode & _OTHERS_WRITE:
        return False
    if mode.st_mode & stat.S_ISVTX:
        try:
            return below.lstat().st_uid not in {0, os.geteuid()}
        except OSError:
            return False
    return bool(mode.st_mode & stat.S_IWOTH) or not _own_group(mode.st_gid)


def _own_group(gid: int) -> bool:
    """Whether a group is this process's own and has no other account in it, as far as this machine knows."""
    import grp
    import pwd

    if gid == 0 or gid != os.getegid():
        return False
    try:
        members = grp.getgrgid(gid).gr_mem
    except KeyError:
        members = []
    others = (account for account in pwd.getpwall() if account.pw_gid == gid or account.pw_name in members)
    return all(account.pw_uid in {0, os.geteuid()} for account in others)
