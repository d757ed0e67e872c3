"""Keys and trust: who signs here, whom this user believes, and until when."""

import os
import stat
from typing import Final

from tuf.api.exceptions import RepositoryError

from huracan.adapters.disk import may_write
from huracan.adapters.keys import KeySet, keys_folder, load_keys, trusted_root_file
from huracan.domain.time import DAY_MS, iso
from huracan.errors import ConfigError, HuracanError
from huracan.operations.doctor.finding import Circumstances, Finding, doubtful, right, wrong

AREA: Final = "keys"
EXPIRY_NOTICE_DAYS: Final = 30
_OTHER_KEYS: Final = "Hamilton would refuse what these keys sign; bring back the keys, or move the file away by hand"


async def signing_keys(here: Circumstances) -> list[Finding]:
    """The online key, the root key's protection, the root's expiry, and the trusted root."""
    folder = keys_folder(here.environ)
    if not folder.is_dir() or not any(folder.iterdir()):
        seen = f"none in {folder}"
        if not may_write(folder):
            text = f"{seen}, and this user may not make any there"
            advice = "give this user the folder, or set HURACAN_KEYS_DIR to one it may write"
            return [wrong(AREA, "signing keys", text, advice), *_trusted_root(here, None)]
        first = doubtful(
            AREA, "signing keys", seen, "the first night makes them; or `huracan keys init` with a passphrase"
        )
        return [first, *_trusted_root(here, None)]
    try:
        keys = load_keys(folder)
    except (HuracanError, RepositoryError, ValueError) as error:
        refused = error if isinstance(error, ConfigError) else f"{folder} holds no keys of ours: {error}"
        return [wrong(AREA, "signing keys", refused), *_trusted_root(here, None)]
    return [
        right(AREA, "signing keys", f"in {folder}"),
        _root_key(keys),
        _expiry(keys, here.now_ms),
        *_trusted_root(here, keys),
    ]


def _root_key(keys: KeySet) -> Finding:
    if keys.root_protected is None:
        return right(AREA, "root key", "moved away, as it should be")
    if keys.root_protected:
        advice = "move it to a safe place; it is needed only to rotate"
        return doubtful(AREA, "root key", "here, behind a passphrase", advice)
    advice = "move it away, or make keys with HURACAN_ROOT_PASSPHRASE set"
    return doubtful(AREA, "root key", "here, unprotected", advice)


def _expiry(keys: KeySet, now_ms: int) -> Finding:
    days = (keys.root_expires_ms - now_ms) / DAY_MS
    seen = f"{iso(keys.root_expires_ms)[:10]}, in {days:.0f} days"
    if days < 0:
        return wrong(
            AREA, "root expiry", f"expired on {iso(keys.root_expires_ms)[:10]}", "`huracan keys rotate`, then publish"
        )
    if days < EXPIRY_NOTICE_DAYS:
        return doubtful(
            AREA, "root expiry", seen, "`huracan keys rotate` renews it; readers take no entries afterwards"
        )
    return right(AREA, "root expiry", seen)


def _trusted_root(here: Circumstances, keys: KeySet | None) -> list[Finding]:
    file = trusted_root_file(here.environ)
    try:
        data, status = file.read_bytes(), file.stat()
    except OSError as error:
        advice = (
            "the first night installs it here; on a trading host copy it from the training host by a way of its own"
            if may_write(file.parent)
            else "this user may not write there: set HURACAN_TRUSTED_ROOT to a file in a folder it may write"
        )
        return [doubtful(AREA, "trusted root", f"{file}: {error.strerror}", advice)]
    if file.resolve().is_relative_to(here.store.resolve()):
        text = f"{file} lies inside the store, where whoever writes the store could replace it"
        return [wrong(AREA, "trusted root", text, "copy it elsewhere, and name it by HURACAN_TRUSTED_ROOT")]
    if status.st_mode & stat.S_IWOTH or (status.st_uid not in {os.getuid(), 0}):
        return [wrong(AREA, "trusted root", f"{file} can be written by others", f"chmod 600 {file}")]
    if keys is not None and data not in keys.roots:
        return [wrong(AREA, "trusted root", f"{file} belongs to other keys than those in {keys.folder}", _OTHER_KEYS)]
    return [right(AREA, "trusted root", str(file))]
