"""Give way to names that a run which never finished left in a remote copy: the same champions under free numbers."""

from collections.abc import Mapping

from huracan.adapters.keys import KeySet
from huracan.adapters.publishers.naming import newest_versions, version_of
from huracan.adapters.publishers.sets import sign_set
from huracan.adapters.publishers.trees import existing_tree
from huracan.domain.bundle import MANIFEST_FILE, Manifest, SetMember, bundle_folder
from huracan.domain.ids import sha256_hex
from huracan.errors import PublishError
from huracan.export.plan import numbered, plan_bundle
from huracan.ports import Publisher

Files = dict[str, tuple[str, int]]


def renumber_set(
    publisher: Publisher,
    keys: KeySet,
    reserved: Mapping[str, int],
    theirs: Mapping[str, tuple[str, int]],
    *,
    wall_clock_ms: int,
) -> int | None:
    """Sign the current set anew without a name that is `reserved`; returns its number, None when nothing collides.

    `theirs` are the files the remote copy has signed: names it shares with this store are no collision. Raises
    PublishError when a bundle to be renumbered is not here.
    """
    tree = existing_tree(publisher, keys)
    lost = {path for path, entry in tree.files.items() if _is_reserved(path, reserved) and theirs.get(path) != entry}
    if not lost:
        return None
    files = {path: entry for path, entry in tree.files.items() if path not in lost}
    newest = newest_versions(tree.files)
    members = {
        key: _moved(publisher, member, newest, reserved, files) if _manifest(member) in lost else member
        for key, member in tree.current.members.items()
    }
    number = max(tree.seen.targets, reserved.get("sets", 0)) + 1
    changes = {"version": number, "origin": number, "members": members, "signed_ms": wall_clock_ms}
    sign_set(publisher, keys, tree, tree.current.model_copy(update=changes), files)
    return number


def _is_reserved(path: str, reserved: Mapping[str, int]) -> bool:
    family, number = version_of(path) or ("", 0)
    return number <= reserved.get(family, 0) and number > 0


def _manifest(member: SetMember) -> str:
    return f"{bundle_folder(member.coin, member.horizon, member.version)}/{MANIFEST_FILE}"


def _moved(
    publisher: Publisher, member: SetMember, newest: Mapping[str, int], reserved: Mapping[str, int], files: Files
) -> SetMember:
    """The member under the next free version, its files written."""
    old = bundle_folder(member.coin, member.horizon, member.version)
    family = old.rpartition("/v")[0]
    version = max(newest.get(family, 0), reserved.get(family, 0)) + 1
    manifest = Manifest.from_bytes(_bytes(publisher, f"{old}/{MANIFEST_FILE}"))
    data = numbered(manifest, version).to_bytes()
    contents = {name: _bytes(publisher, f"{old}/{name}") for name in manifest.files}
    folder = bundle_folder(member.coin, member.horizon, version)
    if publisher.list(folder):
        publisher.delete_tree(folder)
    for path, content in plan_bundle(member.coin, member.horizon, version, {**contents, MANIFEST_FILE: data}).items():
        publisher.write_new(path, content)
    files[f"{folder}/{MANIFEST_FILE}"] = (sha256_hex(data), len(data))
    return member.model_copy(update={"version": version})


def _bytes(publisher: Publisher, path: str) -> bytes:
    data = publisher.read(path)
    if data is None:
        raise PublishError(f"{path} is not in this store, so it cannot be published under another number")
    return data
