"""Signing keys of this user: a root key that is needed only to rotate, and an online key that signs every night.

Folder (0700): ``N.root.json`` (signed root metadata, public), ``root-<id>.pem`` and ``online-<id>.pem`` (0600). The
newest root names the keys, so a half-finished init or rotation leaves the old ones in force.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import SecretStr
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Root
from tuf.api.serialization.json import JSONSerializer

from huracan.adapters.disk import make_folders, sync_folder
from huracan.domain.homes import below_home
from huracan.errors import ConfigError
from huracan.export.private import open_parent
from huracan.export.trust import MAX_ROLE, root_version

ROOT_DAYS: Final = 365

_ONLINE_ROLES = ("timestamp", "snapshot", "targets")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """What signs a store: the chain of roots, version 1 first, and the online key the newest one names.

    `root_protected` is False when the root key lies here without a passphrase; None when it was moved away, as it
    should be.
    """

    folder: Path
    roots: tuple[bytes, ...]
    online: CryptoSigner = field(repr=False)
    root_protected: bool | None
    root_expires_ms: int  # readers take no entries after this; rotate before


def keys_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where this user's keys live: HURACAN_KEYS_DIR, else ``~/.config/huracan/keys``."""
    given = environ.get("HURACAN_KEYS_DIR")
    return Path(given) if given else _config_home(environ, "HURACAN_KEYS_DIR") / "huracan" / "keys"


def trusted_root_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Where this user's trusted root is installed: HURACAN_TRUSTED_ROOT, else ``~/.config/huracan/trust/root.json``."""
    given = environ.get("HURACAN_TRUSTED_ROOT")
    return Path(given) if given else _config_home(environ, "HURACAN_TRUSTED_ROOT") / "huracan" / "trust" / "root.json"


def init_keys(folder: Path, passphrase: SecretStr | None, *, wall_clock_ms: int) -> KeySet:
    """Make a root key and an online key; raises ConfigError when the folder already holds keys."""
    if _root_files(folder):
        raise ConfigError(f"keys exist already in {folder}; `huracan keys rotate` replaces them")
    make_folders(folder, 0o700)
    folder.chmod(0o700)
    root, online = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    metadata = _root_metadata(1, CryptoSigner(root), CryptoSigner(online), wall_clock_ms)
    metadata.sign(CryptoSigner(root))
    _store_key(folder, "root", root, passphrase)
    _store_key(folder, "online", online, None)
    _write_private(folder / "1.root.json", metadata.to_bytes(JSONSerializer(compact=True)))
    return load_keys(folder)


def load_keys(folder: Path) -> KeySet:
    """The keys in a folder; raises ConfigError when there are none, or others may read the online key."""
    files = _root_files(folder)
    if not files:
        raise ConfigError(f"no signing keys in {folder}; make them with `huracan keys init`")
    if (reached := open_parent(files[0])) is not None:
        raise ConfigError(
            f"signing keys in {folder}: others may write into {reached} and could put other keys in their place;"
            f" `chmod go-w {reached}`, or move the keys and set HURACAN_KEYS_DIR"
        )
    roots = tuple(file.read_bytes() for file in files)
    for number, data in enumerate(roots, start=1):
        if len(data) > MAX_ROLE or (number == 1 and root_version(data) != 1):
            raise ConfigError(f"{files[number - 1]} is not version {number} of a root")
    newest = Metadata[Root].from_bytes(roots[-1]).signed
    online = _load_key(_key_file(folder, "online", newest.roles["timestamp"].keyids[0]), None)
    root_file = _key_file(folder, "root", newest.roles["root"].keyids[0])
    protected = b"ENCRYPTED" in root_file.read_bytes() if root_file.exists() else None
    return KeySet(
        folder=folder,
        roots=roots,
        online=online,
        root_protected=protected,
        root_expires_ms=round(newest.expires.timestamp() * 1000),
    )


def rotate_keys(folder: Path, passphrase: SecretStr | None, *, wall_clock_ms: int, new_root: bool = False) -> KeySet:
    """Replace the online key (and with `new_root` the root key), and renew the root's expiry; publish afterwards.

    The old online key is worth nothing as soon as the new root is published. Raises ConfigError when the root key is
    not in the folder or the passphrase does not open it.
    """
    keys = load_keys(folder)
    newest = Metadata[Root].from_bytes(keys.roots[-1]).signed
    old_root = _load_key(_key_file(folder, "root", newest.roles["root"].keyids[0]), passphrase)
    online = Ed25519PrivateKey.generate()
    signers = [old_root]
    if new_root:
        root = Ed25519PrivateKey.generate()
        _store_key(folder, "root", root, passphrase)
        signers.append(CryptoSigner(root))
    metadata = _root_metadata(newest.version + 1, signers[-1], CryptoSigner(online), wall_clock_ms)
    for signer in signers:
        metadata.sign(signer, append=True)
    _store_key(folder, "online", online, None)
    _write_private(folder / f"{newest.version + 1}.root.json", metadata.to_bytes(JSONSerializer(compact=True)))
    return load_keys(folder)


def install_trusted_root(keys: KeySet, file: Path) -> bool:
    """Install version 1 of the root as this user's trusted root; True when it was written now.

    An existing file is never replaced: raises ConfigError when it belongs to other keys.
    """
    try:
        existing = file.read_bytes()
    except FileNotFoundError:
        make_folders(file.parent, 0o700)
        _write_private(file, keys.roots[0])
        return True
    if existing not in keys.roots:
        raise ConfigError(
            f"the trusted root {file} belongs to other keys than those in {keys.folder}; Hamilton would refuse what"
            " these keys sign. Move the file away by hand if the old keys are really gone."
        )
    return False


def _config_home(environ: Mapping[str, str], instead: str) -> Path:
    return below_home(environ, "XDG_CONFIG_HOME", ".config", instead=instead)


def _root_metadata(version: int, root: CryptoSigner, online: CryptoSigner, now_ms: int) -> Metadata[Root]:
    expires = datetime.fromtimestamp(now_ms // 1000, tz=UTC) + timedelta(days=ROOT_DAYS)
    signed = Root(version=version, expires=expires, consistent_snapshot=True)
    signed.add_key(root.public_key, "root")
    for role in _ONLINE_ROLES:
        signed.add_key(online.public_key, role)
    return Metadata(signed)


def _root_files(folder: Path) -> list[Path]:
    files: list[Path] = []
    while (file := folder / f"{len(files) + 1}.root.json").exists():
        files.append(file)
    return files


def _key_file(folder: Path, kind: str, keyid: str) -> Path:
    return folder / f"{kind}-{keyid[:16]}.pem"


def _store_key(folder: Path, kind: str, key: Ed25519PrivateKey, passphrase: SecretStr | None) -> None:
    secret = passphrase.get_secret_value() if passphrase else ""
    encryption = BestAvailableEncryption(secret.encode()) if secret else NoEncryption()
    keyid = CryptoSigner(key).public_key.keyid
    _write_private(_key_file(folder, kind, keyid), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))


def _load_key(file: Path, passphrase: SecretStr | None) -> CryptoSigner:
    try:
        status = file.lstat()
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"signing key {file} cannot be read ({error.strerror}); bring it back from its safe place"
        ) from error
    if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
        raise ConfigError(
            f"signing key {file} may be read by others; `chmod 600` it, or rotate it if others had access"
        )
    secret = passphrase.get_secret_value().encode() if passphrase and b"ENCRYPTED" in data else None
    try:
        key = load_pem_private_key(data, secret)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"signing key {file} cannot be opened: wrong or missing passphrase, or damaged") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"signing key {file} is not an Ed25519 key")
    return CryptoSigner(key)


def _write_private(file: Path, data: bytes) -> None:
    # Written beside and linked, so the final name never holds half a key and never replaces one.
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.link(beside, file)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(file.parent)
