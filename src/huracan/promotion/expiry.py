"""Why a lineage expired: its kind, and the text that the ledger stores."""

from enum import Enum
from typing import Final

_HOPELESS: Final = "hopeless: "


class ExpiryKind(Enum):
    """HOPELESS lasts until champion or recipe change. After BREACHED a recipe comes back with a wider bound."""

    HOPELESS = "hopeless"
    BREACHED = "breached"


def expiry_reason(kind: ExpiryKind, detail: str) -> str:
    """The stored reason of an expiry; the text is inside the hash chain and never changes.

    >>> expiry_reason(ExpiryKind.HOPELESS, "log e = -4.12")
    'hopeless: log e = -4.12'
    """
    return f"{_HOPELESS}{detail}" if kind is ExpiryKind.HOPELESS else detail


def expiry_kind(reason: str) -> ExpiryKind:
    """Inverse of `expiry_reason`.

    >>> expiry_kind("hopeless: decidable in never, at most 730 wanted").name
    'HOPELESS'
    """
    return ExpiryKind.HOPELESS if reason.startswith(_HOPELESS) else ExpiryKind.BREACHED
