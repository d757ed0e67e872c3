"""What a person must see of a night although its log lines went to a file: said once, when it is over."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from huracan.adapters.telemetry import EVENTS

WORDS: Final[dict[str, str]] = {
    "artefact_mismatched": "a stored file was altered or damaged, and was made again: {key}",
    "champion_set_refused": "a set of champions was refused: {error}",
    "clock_not_kept": "the newest time seen could not be kept: {error}",
    "export_failed": "{coin} {horizon} could not be exported: {error}",
    "job_failed": "the {wave} job of {coin} failed, and the pair is skipped: {error}",
    "keys_created": "signing keys were made in {folder}; keep a copy of that folder elsewhere",
    "lake_table_quarantined": "market data of {coin} were damaged; they were quarantined and fetched again",
    "ledger_unnamed": "the signed set {set} names no ledger; it was signed by an earlier release",
    "listing_unknown": "whether the exchange still lists every pair is not known: {error}",
    "member_delisted": "{coin} was delisted during the night: {reason}",
    "pair_failed": "{coin} failed in your own code: {error}",
    "pool_frozen": "promotions of {pool} are frozen; `huracan ledger unfreeze` ends that once you have looked",
    "root_key_unprotected": "the root key in {folder} has no passphrase: set HURACAN_ROOT_PASSPHRASE and run"
    " `huracan keys rotate --new-root`",
    "settlements_unshared": "settlements could not be read in one go, so each pair asked for its own: {error}",
    "symbol_refused": "{instrument} was not filled: {error}",
    "telemetry_failed": "{listener} stopped telling: {error}",
    "traces_lost": "{spans} spans did not reach the collector",
    "worker_lost": "a worker process died at the {wave} job of {coin}",
}
"""Events a person must see, with the sentence that says them; fields in braces."""
ELSEWHERE: Final = frozenset({"push_failed", "run_crashed", "run_interrupted", "run_refused"})
"""Warnings and errors that the end of the command says by itself."""
SHOWN: Final = 2
"""Sentences of one kind that are said in full; the log has the others."""


class Notices:
    """Listens for what WORDS lists, and for any warning or error without words of its own; `but` are not kept."""

    def __init__(self, but: frozenset[str] = frozenset()) -> None:
        self._but = ELSEWHERE | but
        self._said: dict[str, list[str]] = {}
        self._counts: Counter[str] = Counter()

    def event(self, name: str, **fields: Any) -> None:
        """Keep the event when it is one for a person."""
        if name in self._but or (name not in WORDS and EVENTS.get(name) not in {"warning", "error"}):
            return
        self._counts[name] += 1
        said = self._said.setdefault(name, [])
        if len(said) < SHOWN:
            sentence = _sentence(name, fields)
            if sentence in said:
                self._counts[name] -= 1
            else:
                said.append(sentence)

    def progress(self, stage: str, done: int, total: int) -> None:
        """Nothing."""

    def sentences(self) -> list[str]:
        """What was kept, a sentence each; of many of one kind the first ones and their number."""
        found: list[str] = []
        for name, said in self._said.items():
            more = self._counts[name] - len(said)
            found += said[:-1]
            found.append(said[-1] + (f" (and {more} more of this kind, see the log)" if more else ""))
        return found


def _sentence(name: str, fields: Mapping[str, object]) -> str:
    words = WORDS.get(name, name.replace("_", " ") + (": {error}" if "error" in fields else ""))
    return words.format_map(_Shown({key: _short(value) for key, value in fields.items()}))


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 300 else f"{text[:299]}…"


class _Shown(dict[str, str]):
    """Fields of a sentence; one that the event lacks is left open rather than an error."""

    def __missing__(self, key: str) -> str:
        return "?"
