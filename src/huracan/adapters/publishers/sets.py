"""Publish a champion set as one step: immutable files first, then lists, then the one pointer.

A crash anywhere before the pointer leaves the old set, with orphans that the next publication replaces.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, Protocol, runtime_checkable

from huracan.adapters.keys import KeySet
from huracan.adapters.publishers.metadata import Versions, signed_metadata
from huracan.adapters.publishers.naming import (
    KEEP_VERSIONS,
    MANIFEST_PATH,
    SET_PATH,
    newest_versions,
    outdated_places,
)
from huracan.adapters.publishers.trees import Readable, Reader, existing_tree, signed_tree
from huracan.domain.account import set_faults
from huracan.domain.bundle import (
    MANIFEST_FILE,
    MAX_MANIFEST,
    MAX_SET,
    STORE_KEY,
    ChampionSet,
    DoNotTrade,
    LedgerHead,
    Manifest,
    RankRow,
    SetMember,
    bundle_folder,
)
from huracan.domain.ids import canonical_json, result_key, sha256_hex
from huracan.domain.json import JsonObject
from huracan.domain.regime_edges import regimes_as_extras, regimes_from
from huracan.errors import BundleFormatError, BundleSignatureError, IncompleteError, PublishError
from huracan.export.plan import BundleFiles, numbered, plan_bundle, same_content
from huracan.export.trust import TIMESTAMP_PATH, Seen, TrustedTree, checked_bytes, read_signed, set_path
from huracan.ports import Publisher

NOTHING_RESERVED: Final[Mapping[str, int]] = {}


@runtime_checkable
class Preflight(Protocol):
    """A publisher that can say beforehand whether the space suffices."""

    def preflight(self, needed_bytes: int) -> None:
        """Raise DiskFullError unless the bytes fit."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRun:
    """What a set says of its run: `ledger` is the head of the ledger it was decided with, `extras` any JSON."""

    run_id: str
    data_cutoff_ms: int
    ledger: LedgerHead | None = None
    extras: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedMember:
    """What happened to one (coin, horizon): a new version, or the newest kept."""

    coin: str
    horizon: str
    version: int
    status: Literal["champion", "candidate"]
    action: Literal["new", "kept"]
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSet:
    """A set that readers see now. `dropped` are members asked to be kept whose files did not verify any more."""

    version: int
    members: dict[str, PublishedMember]
    dropped: dict[str, str]


def publish_set(
    publisher: Publisher,
    keys: KeySet,
    champions: Sequence[BundleFiles],
    run: SetRun,
    *,
    wall_clock_ms: int,
    do_not_trade: Sequence[DoNotTrade] = (),
    keep: Iterable[tuple[str, str]] = (),
    reserved: Mapping[str, int] = NOTHING_RESERVED,
) -> PublishedSet:
    """Write bundles, sign the set of `champions` and `keep`, move the pointer.

    `keep` names (coin, horizon) pairs whose newest set member stays as it is. A bundle whose content equals the newest
    signed version gets no new one. `reserved` are the highest numbers, by family, that runs which never finished left
    in a remote copy; new files are numbered above them. The metadata are signed anew even when nothing changed. Raises
    PublishError (DiskFullError, LockedError, FencedError among them), and IncompleteError where the set is not what the
    account in its extras says; whatever is raised, the old set stands.
    """
    old = signed_tree(publisher, keys)
    files = dict(old.files) if old else {}
    newest = newest_versions(files)
    members: dict[str, PublishedMember] = {}
    instruments: dict[str, str] = {}
    ranking: list[RankRow] = []
    regimes = {result_key(bundle.coin, bundle.horizon): dict(bundle.regimes) for bundle in champions}
    if isinstance(publisher, Preflight):
        publisher.preflight(sum(len(data) for bundle in champions for data in bundle.files.values()))
    for bundle in champions:
        key = result_key(bundle.coin, bundle.horizon)
        if key in members:
            raise PublishError(f"{key}: two bundles in one set")
        folder = _folder(bundle)
        members[key] = _publish_bundle(publisher, bundle, newest.get(folder, 0), files, reserved.get(folder, 0))
        instruments[key] = bundle.manifest.instrument
        ranking += bundle.ranking
    kept, dropped = _kept_members(publisher, old, [pair for pair in keep if result_key(*pair) not in members], files)
    for key, member in kept.items():
        members[key] = _as_published(member)
        instruments[key] = member.instrument
    if old is not None:
        ranking += [row for row in old.current.ranking if result_key(row.coin, row.horizon) in kept]
        regimes |= {key: of for key, of in regimes_from(old.current.extras).items() if key in kept}
    number = max(old.seen.targets if old else 0, reserved.get("sets", 0)) + 1
    current = ChampionSet(
        version=number,
        origin=number,
        run_id=run.run_id,
        data_cutoff_ms=run.data_cutoff_ms,
        signed_ms=wall_clock_ms,
        members={key: _as_member(member, instruments[key]) for key, member in members.items()},
        ranking=ranking,
        do_not_trade=list(do_not_trade),
        extras={**run.extras, **regimes_as_extras(regimes)},
    )
    current = current.model_copy(update={"extras": current.extras_on(run.ledger)})
    _check(current, dropped)
    sign_set(publisher, keys, old, current, files)
    return PublishedSet(version=number, members=members, dropped=dropped)


def _check(current: ChampionSet, dropped: Mapping[str, str]) -> None:
    """Raises IncompleteError for a set that is not what its account says; `dropped` were to be kept."""
    if faults := set_faults(current):
        lost = [f"{key} was to be kept ({why})" for key, why in dropped.items()]
        raise IncompleteError(
            f"the set does not hold what the night's account says: {'; '.join((*lost, *faults)[:5])}. Nothing was signed, "
            "and the set before stands"
        )


def damaged_members(
    publisher: Publisher, tree: TrustedTree, pairs: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """Those members of the current set whose files do not verify, with the reason."""
    asked = list(pairs)
    _, dropped = _kept_members(publisher, tree, asked, tree.files)
    return {pair: dropped[result_key(*pair)] for pair in asked if result_key(*pair) in dropped}


def resign_set(
    publisher: Publisher, keys: KeySet, *, wall_clock_ms: int, reserved: Mapping[str, int] = NOTHING_RESERVED
) -> PublishedSet:
    """Sign the current set anew (after a key rotation, or to renew its expiry); PublishError when there is none."""
    tree = existing_tree(publisher, keys)
    return _sign_again(publisher, keys, tree, tree.current, wall_clock_ms=wall_clock_ms, reserved=reserved)


def rollback_set(
    publisher: Publisher,
    keys: KeySet,
    *,
    wall_clock_ms: int,
    to: int | None = None,
    reserved: Mapping[str, int] = NOTHING_RESERVED,
) -> PublishedSet:
    """Sign an earlier set as a new version: `to`, else the newest before the current members' set that differs.

    Raises PublishError when no such set is listed any more.
    """
    tree = existing_tree(publisher, keys)
    return _sign_again(
        publisher, keys, tree, earlier_set(publisher, tree, to), wall_clock_ms=wall_clock_ms, reserved=reserved
    )


def earlier_set(publisher: Readable, tree: TrustedTree, to: int | None = None) -> ChampionSet:
    """The set a rollback would return to; raises PublishError when none is listed any more."""
    listed = sorted((int(match[1]) for path in tree.files if (match := SET_PATH.fullmatch(path))), reverse=True)
    wanted = [to] if to is not None else [number for number in listed if number < tree.current.origin]
    for number in wanted:
        if number not in listed:
            raise PublishError(f"set {number} is not listed; known sets: {listed}")
        earlier = ChampionSet.from_bytes(read_signed(Reader(publisher), tree.files, set_path(number), MAX_SET))
        if to is not None or (earlier.origin == number and earlier.members != tree.current.members):
            return earlier
    raise PublishError(f"no earlier set differs from the current one (set {tree.current.version})")


def prune_unlisted(publisher: Publisher, keys: KeySet) -> list[str]:
    """Delete bundle versions, sets and metadata older than everything listed; returns what was deleted.

    Newer ones are left alone: they are orphans of a crashed run, or of one that publishes right now.
    """
    tree = signed_tree(publisher, keys)
    if tree is None:
        return []
    to_delete = outdated_places(publisher.list(""), tree)
    for path in to_delete:
        publisher.delete_tree(path)
    return to_delete


def publish_summary(publisher: Publisher, summary: JsonObject, *, wall_clock_ms: int) -> str:
    """Write ``summaries/{YYYYMMDD_HHMMSS}_summary.json``, numbered where that second has one; returns the path."""
    stamp = datetime.fromtimestamp(wall_clock_ms // 1000, tz=UTC).strftime("%Y%m%d_%H%M%S")
    data = canonical_json(dict(summary))
    path, number = f"summaries/{stamp}_summary.json", 1
    while (existing := publisher.read(path)) is not None and existing != data:
        number += 1
        path = f"summaries/{stamp}_{number}_summary.json"
    publisher.write_new(path, data)
    return path


def _folder(bundle: BundleFiles) -> str:
    return bundle_folder(bundle.coin, bundle.horizon, 0).removesuffix("/v0")


def _publish_bundle(
    publisher: Publisher, bundle: BundleFiles, newest: int, files: dict[str, tuple[str, int]], reserved: int
) -> PublishedMember:
    coin, horizon = bundle.coin, bundle.horizon
    version, action = newest, "kept"
    if newest == 0 or not _unchanged(publisher, bundle, newest, files):
        version, action = max(newest, reserved) + 1, "new"
        folder = bundle_folder(coin, horizon, version)
        if publisher.list(folder):
            publisher.delete_tree(folder)
        manifest = numbered(bundle.manifest, version).to_bytes()
        for path, data in plan_bundle(coin, horizon, version, {**bundle.files, MANIFEST_FILE: manifest}).items():
            publisher.write_new(path, data)
        files[f"{folder}/{MANIFEST_FILE}"] = (sha256_hex(manifest), len(manifest))
    return PublishedMember(
        coin=coin,
        horizon=horizon,
        version=version,
        status=bundle.manifest.status,
        action="new" if action == "new" else "kept",
        path=bundle_folder(coin, horizon, version),
    )


def _unchanged(publisher: Publisher, bundle: BundleFiles, version: int, files: Mapping[str, tuple[str, int]]) -> bool:
    try:
        old = _whole_bundle(publisher, bundle.coin, bundle.horizon, version, files)
    except (BundleSignatureError, BundleFormatError):
        return False
    return same_content(bundle.manifest, old)


def _whole_bundle(
    publisher: Publisher, coin: str, horizon: str, version: int, files: Mapping[str, tuple[str, int]]
) -> Manifest:
    read, folder = Reader(publisher), bundle_folder(coin, horizon, version)
    manifest = Manifest.from_bytes(read_signed(read, files, f"{folder}/{MANIFEST_FILE}", MAX_MANIFEST))
    for name, entry in manifest.files.items():
        checked_bytes(read, f"{folder}/{name}", entry.sha256, entry.size, entry.size)
    return manifest


def _kept_members(
    publisher: Publisher,
    old: TrustedTree | None,
    pairs: Sequence[tuple[str, str]],
    files: Mapping[str, tuple[str, int]],
) -> tuple[dict[str, SetMember], dict[str, str]]:
    kept: dict[str, SetMember] = {}
    dropped: dict[str, str] = {}
    for coin, horizon in pairs:
        key = result_key(coin, horizon)
        member = old.current.members.get(key) if old else None
        if member is None:
            dropped[key] = "the current set has no such member"
            continue
        try:
            _whole_bundle(publisher, coin, horizon, member.version, files)
        except (BundleSignatureError, BundleFormatError) as error:
            dropped[key] = str(error)
        else:
            kept[key] = member
    return kept, dropped


def _sign_again(
    publisher: Publisher,
    keys: KeySet,
    tree: TrustedTree,
    source: ChampionSet,
    *,
    wall_clock_ms: int,
    reserved: Mapping[str, int],
) -> PublishedSet:
    number = max(tree.seen.targets, reserved.get("sets", 0)) + 1
    changes = {"version": number, "origin": source.origin, "signed_ms": wall_clock_ms}
    # An older set returns, the ledger does not: it goes on from its newest entry.
    current = source.model_copy(update={**changes, "extras": source.extras_on(tree.current.ledger)})
    sign_set(publisher, keys, tree, current, dict(tree.files))
    members = {key: _as_published(member) for key, member in current.members.items()}
    return PublishedSet(version=number, members=members, dropped={})


def sign_set(
    publisher: Publisher,
    keys: KeySet,
    old: TrustedTree | None,
    current: ChampionSet,
    files: dict[str, tuple[str, int]],
) -> None:
    """Sign `current` as the set after `old`, listing what of `files` is recent or in use, and move the pointer.

    The set keeps the id of its store, which the first one is given.
    """
    store_id = (old.current.store_id if old else "") or secrets.token_hex(16)
    current = current.model_copy(update={"extras": {**current.extras, STORE_KEY: store_id}})
    data = current.to_bytes()
    files = _listed(files, current)
    files[set_path(current.version)] = (sha256_hex(data), len(data))
    seen, number = old.seen if old else Seen(), current.version
    versions = Versions(
        targets=number, snapshot=max(seen.snapshot + 1, number), timestamp=max(seen.timestamp + 1, number)
    )
    metadata = signed_metadata(files, versions, keys.online, wall_clock_ms=current.signed_ms)
    pointer = metadata.pop(TIMESTAMP_PATH)
    # `replace`, because a crashed run may have left files of the same numbers that no pointer ever named.
    publisher.replace(set_path(current.version), data)
    for path, content in metadata.items():
        publisher.replace(path, content)
    for number, root in enumerate(keys.roots, start=1):
        if publisher.read(f"metadata/{number}.root.json") != root:
            publisher.write_new(f"metadata/{number}.root.json", root)
    publisher.replace(TIMESTAMP_PATH, pointer)


def _listed(files: Mapping[str, tuple[str, int]], current: ChampionSet) -> dict[str, tuple[str, int]]:
    """Signed files that stay listed: the last 14 versions of each champion, those of the current set, the last sets."""
    in_use = {f"{bundle_folder(m.coin, m.horizon, m.version)}/{MANIFEST_FILE}" for m in current.members.values()}
    newest = newest_versions(files)
    if not in_use <= files.keys():
        raise PublishError(f"bundles of the set are not listed any more: {sorted(in_use - files.keys())[:5]}")
    kept: dict[str, tuple[str, int]] = {}
    for path, entry in files.items():
        manifest, earlier = MANIFEST_PATH.fullmatch(path), SET_PATH.fullmatch(path)
        recent = manifest is not None and int(manifest[2]) > newest[manifest[1]] - KEEP_VERSIONS
        recent |= earlier is not None and int(earlier[1]) > current.version - KEEP_VERSIONS
        if recent or path in in_use:
            kept[path] = entry
    return kept


def _as_member(member: PublishedMember, instrument: str) -> SetMember:
    return SetMember(
        coin=member.coin,
        horizon=member.horizon,
        version=member.version,
        status=member.status,
        instrument=instrument,
    )


def _as_published(member: SetMember) -> PublishedMember:
    return PublishedMember(
        coin=member.coin,
        horizon=member.horizon,
        version=member.version,
        status=member.status,
        action="kept",
        path=bundle_folder(member.coin, member.horizon, member.version),
    )
