"""Former pairs in a night: ingested like members, walked over where a pool's draw asks for them, and nothing more.

Step 1 knows the delisted and the faded ones; earlier listings of a symbol are found in its bars, by step 2. They have no models,
no skips and no place in the lists of coins: they are part of the evidence, and the summary counts them.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from huracan.domain.ids import Instrument, sha256_hex
from huracan.domain.records import Candidate
from huracan.night.state import Night, PairOutcome

LAST: Final = -1
"""Priority of their jobs: after every pair that may be published."""
STEP_INGEST: Final = 2
STEP_PREPARE: Final = 3
STEP_TRAIN: Final = 5


def former_coins(night: Night) -> list[str]:
    """Keys of the night's former pairs."""
    return [one.instrument.coin for one in night.plan.former]


def is_preferred(night: Night, coin: str) -> bool:
    """Whether a coin stands for its base asset tonight (on past days others may: see `bases`), or is a former pair."""
    instrument = night.plan.member(coin).instrument
    return coin != instrument.ticker or coin in night.former.facts


def draw(coins: Iterable[str], panel_size: int) -> list[str]:
    """The panel: drawn by hash, so that nobody can choose it by looking at results."""
    return sorted(sorted(coins, key=lambda coin: sha256_hex(coin.encode()))[:panel_size])


def received(night: Night, step: int, outcomes: Iterable[PairOutcome]) -> Night:
    """The night with what came of its former pairs' jobs in steps 2, 3 (and 4) or 5 (to 7): records, or why there are none."""
    known = night.former
    records: dict[str, dict[str, Any]] = {}
    failed = dict(known.failed)
    for outcome in outcomes:
        if outcome.record is None:
            failed[outcome.coin] = outcome.code
            continue
        refused = _refused(outcome.record)
        if refused is None:
            records[outcome.coin] = outcome.record
        else:
            failed[outcome.coin] = str(refused["code"])
    known = replace(known, failed=failed)
    if step == STEP_INGEST:
        return replace(night, former=replace(known, facts=records))
    if step == STEP_PREPARE:
        return replace(night, former=replace(known, prepared=records))
    return replace(night, former=replace(known, trained=records))


def with_ingested(
    night: Night, outcomes: Iterable[PairOutcome], former: Iterable[PairOutcome], *, counted: bool
) -> Night:
    """The night with its former pairs after step 2: those of the plan, and (if `counted`) the earlier listings that were found in
    anybody's bars.
    """
    former = [*former]
    records = [outcome.record for outcome in (*outcomes, *former) if outcome.record is not None]
    earlier = [facts for record in records for facts in record["earlier"]] if counted else []
    added = [
        Candidate(instrument=Instrument(**facts["instrument"]), volume_24h_gbp=0.0, spread_bps=None)
        for facts in earlier
    ]
    everybody = sorted((*night.plan.former, *added), key=lambda one: one.instrument.coin)
    planned = replace(night, plan=replace(night.plan, former=tuple(everybody)))
    return received(planned, STEP_INGEST, [*former, *(PairOutcome(coin=f["coin"], record=f) for f in earlier)])


def _refused(record: dict[str, Any]) -> dict[str, Any] | None:
    """The skip of a wave's record that leaves nothing to go on with: wave 1's own, or wave 3's first without any cell."""
    if "cells" in record:
        return None if record["cells"] or not record["skips"] else record["skips"][0]
    skip: dict[str, Any] | None = record.get("skip")
    return skip


def with_drawn(night: Night, panel_size: int) -> Night:
    """The night with the former pairs that a pool of tonight draws among everybody who was in its tier on some day."""
    living = {coin: facts for coin, facts in night.facts.items() if facts["skip"] is None}
    spans = {coin: facts["pool_days"] for coin, facts in (living | night.former.facts).items()}
    markets = {coin: night.plan.member(coin).instrument.market for coin in {*living, *spans}}
    drawn: set[str] = set()
    for market, tier in {(markets[coin], facts["tier"]) for coin, facts in living.items()}:
        drawn.update(draw((coin for coin in spans if markets[coin] == market and spans[coin].get(tier)), panel_size))
    return replace(night, former=replace(night.former, drawn=tuple(sorted(drawn & set(night.former.facts)))))


def known_former(night: Night) -> int:
    """How many former pairs the night knows, whatever became of them."""
    return len(night.former.facts.keys() | night.former.failed.keys())


def former_summary(night: Night) -> dict[str, Any]:
    """What became of the former pairs: how many there were (and were earlier listings of a symbol), were drawn and are in the
    evidence, and why others are not.
    """
    former = night.former
    return {
        "known": known_former(night),
        "earlier_listings": sum(one.instrument.listing_end > 0 for one in night.plan.former),
        "drawn": len(former.drawn),
        "walked": len(former.trained),
        "refused": dict(sorted(Counter(former.failed.values()).items())),
    }


OF_DATA: Final = frozenset({"NO_DATA", "SHORT_HISTORY", "TOO_FEW_ROWS", "SPREAD_TOO_WIDE"})
"""Reasons for which a pair would not have been walked over in its own time either."""


def survivor_notes(night: Night, *, counted: bool) -> tuple[str, ...]:
    """What must be said of evidence from past days where pairs are missing that were traded then."""
    if not counted:
        return ("evidence from past days is of tonight's members alone: pairs that fell out since are not in it",)
    lost = Counter(code for code in night.former.failed.values() if code not in OF_DATA)
    if not lost:
        return ()
    reasons = ", ".join(f"{code} {number}" for code, number in sorted(lost.items()))
    pairs = "1 former pair" if lost.total() == 1 else f"{lost.total()} former pairs"
    return (f"evidence from past days lacks {pairs} that could not be walked over ({reasons})",)
