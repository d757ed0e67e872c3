"""The ledger's chain of entries, its head, and what a signed set may expect of it.

Every set names the head it was signed on. A ledger without that entry is older than its store, empty, or another one.
It would decide nights a second time. `adopt` is the way out, and an entry of the chain itself.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from huracan.adapters.ledger_file import BRING_LAST, LedgerFile
from huracan.domain.bundle import ChampionSet, LedgerHead
from huracan.domain.ids import canonical_json, content_hash, sha256_hex
from huracan.domain.json import JsonObject
from huracan.errors import LedgerBehindError, LedgerError

EVALUATED: Final = "judged"
"""Stored name, inside the hash chain, of whether an entry is a night rather than a note, trials or an adoption."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """A person's decision that this ledger goes on with a set it knows nothing of.

    `number` and `hash` are the head that set was signed on (None for one that names none), `entries` those the ledger
    had then.
    """

    set_version: int
    run_id: str
    number: int | None
    hash: str | None
    entries: int
    note: str
    signature: str = ""


class LedgerChain(LedgerFile):
    """Entries that only ever follow one another: nights, notes, trials, adoptions, lists of records."""

    def head(self) -> LedgerHead | None:
        """The newest entry; None in a ledger that has none. Raises LedgerError for a damaged one."""
        row = self._connection.execute("SELECT number, hash FROM nights ORDER BY number DESC LIMIT 1").fetchone()
        try:
            return LedgerHead(number=row[0], hash=row[1]) if row else None
        except ValueError as error:  # no hash at all
            raise LedgerError(f"{self.path}: entry {row[0]} was edited or damaged; {BRING_LAST}") from error

    def adoptions(self) -> list[Adoption]:
        """Sets that this ledger has adopted, oldest first."""
        query = "SELECT json_extract(entries, '$.adopted') FROM nights ORDER BY number"
        return [Adoption(**json.loads(text)) for (text,) in self._connection.execute(query) if text is not None]

    def holds(self, current: ChampionSet) -> bool:
        """Whether this ledger is the one a set was signed on, or a later state of it, or has adopted the set.

        A set that names no head is one of an earlier version: then its run must be in the ledger, and a night decided.
        """
        named = current.ledger
        if named is not None:
            row = self._connection.execute("SELECT hash FROM nights WHERE number = ?", (named.number,)).fetchone()
            return (row is not None and row[0] == named.hash) or any(
                (one.number, one.hash) == (named.number, named.hash) for one in self.adoptions()
            )
        known = self._connection.execute("SELECT 1 FROM runs WHERE run_id = ?", (current.run_id,)).fetchone()
        decided = known is not None and self.head() is not None
        return decided or any(one.number is None and one.run_id == current.run_id for one in self.adoptions())

    def ensure_holds(self, current: ChampionSet, store: str) -> None:
        """Raise LedgerBehindError unless `holds`."""
        if not self.holds(current):
            raise behind(str(self.path), self._seen(current), current, store)

    def adopt(self, current: ChampionSet, *, note: str, day: int, signature: str = "") -> Adoption:
        """Enter that this ledger goes on with a set it does not hold; raises LedgerError without a note."""
        if not note.strip():
            raise LedgerError("a ledger goes on with another store only with a note that says why")
        named, head = current.ledger, self.head()
        entry = Adoption(
            set_version=current.version,
            run_id=current.run_id,
            number=named.number if named else None,
            hash=named.hash if named else None,
            entries=head.number if head else 0,
            note=note,
            signature=signature,
        )
        with self._writing("an adoption"):
            self._append_entry(day, [], evaluated=False, more={"adopted": asdict(entry)})
        return entry

    def _append_entry(
        self, day: int, entries: Sequence[str], *, evaluated: bool = True, more: JsonObject | None = None
    ) -> int:
        head = self.head()
        before, number = (head.hash, head.number + 1) if head else ("", 1)
        text = canonical_json({EVALUATED: evaluated, "entries": list(entries), **(more or {})}).decode()
        self._connection.execute(
            "INSERT INTO nights VALUES (?, ?, ?, ?, ?)", (number, day, text, before, entry_hash(before, day, text))
        )
        return number

    def _seen(self, current: ChampionSet) -> str:
        head, named = self.head(), current.ledger
        if head is None:
            return "is empty"
        if named is None:
            return f"has {head.number} entries and knows nothing of that run"
        if head.number < named.number:
            return f"ends with entry {head.number}"
        return f"has another entry {named.number}: it belongs to another store"


def behind(ledger: str, seen: str, current: ChampionSet, store: str) -> LedgerBehindError:
    """What is wrong, what was wanted and what to do, where a ledger is not the one its store was signed on."""
    named = current.ledger
    wanted = f"in run {current.run_id}" if named is None else f"on entry {named.number} ({named.hash[:12]})"
    return LedgerBehindError(
        f"{ledger} {seen}, but set {current.version} of {store} was signed {wanted}: nights would be decided a second time. "
        "Bring the ledger that signed this set (ledger.sqlite with its -wal file, from the machine that ran last; an older copy "
        "is refused as well). Only where it is lost: `huracan ledger adopt --note TEXT` goes on with this one, without the evidence "
        "of the nights it lacks"
    )


def entry_hash(before: str, day: int, text: str) -> str:
    """Hash of an entry: sha256 over the hash before it, its day and its text."""
    return sha256_hex(f"{before}{day}{text}".encode())


def adoption_digest(current: ChampionSet, note: str) -> bytes:
    """What a person signs to adopt a set."""
    return content_hash("adopt", current.version, current.run_id, current.ledger, note).encode()
