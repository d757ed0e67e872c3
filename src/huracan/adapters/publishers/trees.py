"""The signed tree as a store has it now, verified before anything is put on top of it."""

from dataclasses import dataclass
from typing import Protocol

from huracan.adapters.keys import KeySet
from huracan.errors import BundleFormatError, BundleSignatureError, HuracanError, PublishError
from huracan.export.trust import TIMESTAMP_PATH, TrustedTree, verify_tree


class Readable(Protocol):
    """Where a tree is read from: a publisher, or a remote store at one moment."""

    def read(self, path: str) -> bytes | None:
        """Bytes at a store path, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Reader:
    """A publisher as the trust chain reads it: with a limit."""

    publisher: Readable

    def __call__(self, path: str, limit: int) -> bytes | None:
        """Bytes at a path; BundleFormatError for more than the limit."""
        data = self.publisher.read(path)
        if data is not None and len(data) > limit:
            raise BundleFormatError(f"{path}: {len(data)} bytes, at most {limit} allowed")
        return data


def signed_tree(publisher: Readable, keys: KeySet) -> TrustedTree | None:
    """The tree as published before, verified, because what stands in a store may not be ours; None when empty.

    A rotation that was not published yet left metadata of the root before; that one is accepted then.
    """
    read = Reader(publisher)
    present = [
        data for number, data in enumerate(keys.roots, 1) if publisher.read(f"metadata/{number}.root.json") == data
    ]
    problem: HuracanError | None = None
    for count in (len(present), len(present) - 1):
        if count < 1:
            continue
        hidden = f"metadata/{count + 1}.root.json"
        try:
            return verify_tree(
                lambda path, limit, hidden=hidden: None if path == hidden else read(path, limit),  # type: ignore[misc]
                present[count - 1],
            )
        except (BundleSignatureError, BundleFormatError) as error:
            problem = problem or error
    if problem is None and publisher.read(TIMESTAMP_PATH) is None:
        return None
    raise PublishError(
        f"the store's metadata are not signed by the keys in {keys.folder} ({problem or 'unknown root'}); nothing was"
        " written. Use the keys it was made with, or an empty store."
    ) from problem


def existing_tree(publisher: Readable, keys: KeySet) -> TrustedTree:
    """The tree as published before; PublishError when there is none."""
    tree = signed_tree(publisher, keys)
    if tree is None:
        raise PublishError("nothing was ever published to this store")
    return tree
