"""Historical constituents in a night: ingested like members, backtested where a pool's draw asks for them, and nothing
more.

Step 1 knows the delisted and the faded ones; earlier listings of a symbol are found in its bars, by step 2. They have
no models, no skips and no place in the lists of coins: they are part of the evidence, and the summary counts them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from huracan.domain.ids import sha256_hex
from huracan.domain.json import Json
from huracan.domain.night_records import Done, Failed, IngestRecord, PairRecord, PrepareRecord, TrainRecord
from huracan.domain.records import Candidate, Skip
from huracan.night.state import Night, PairOutcome

LAST: Final = -1
"""Priority of their jobs: after every pair that may be published."""


def historical_coins(night: Night) -> list[str]:
    """Keys of the night's historical constituents."""
    return [one.instrument.coin for one in night.plan.historical]


def is_preferred(night: Night, coin: str) -> bool:
    """Whether a coin stands for its base asset tonight (on past days others may: see `bases`), or is a historical
    constituent.
    """
    instrument = night.plan.member(coin).instrument
    return coin != instrument.ticker or coin in night.historical.ingested


def draw(coins: Iterable[str], panel_size: int) -> list[str]:
    """The panel: drawn by hash, so that it cannot be chosen by results."""
    return sorted(sorted(coins, key=lambda coin: sha256_hex(coin.encode()))[:panel_size])


def with_ingested(
    night: Night, outcomes: Iterable[PairOutcome], constituents: Iterable[PairOutcome], *, counted: bool
) -> Night:
    """The night with its historical constituents after step 2: those of the plan, and (if `counted`) the earlier
    listings that were found in any pair's bars.
    """
    constituents = [*constituents]
    results = [outcome.result for outcome in (*outcomes, *constituents)]
    records = [done.record for done in results if isinstance(done, Done)]
    found = [one for record in records if isinstance(record, IngestRecord) for one in record.earlier]
    earlier = found if counted else []
    added = [Candidate(instrument=one.instrument, volume_24h_gbp=0.0, spread_bps=None) for one in earlier]
    planned = sorted((*night.plan.historical, *added), key=lambda one: one.instrument.coin)
    night = replace(night, plan=replace(night.plan, historical=tuple(planned)))
    own = [PairOutcome(coin=one.record.coin, result=Done(record=one.record)) for one in earlier]
    records_of, failed = _sorted_out([*constituents, *own], IngestRecord)
    known = night.historical
    return replace(night, historical=replace(known, ingested=records_of, failed={**known.failed, **failed}))


def with_prepared(night: Night, outcomes: Iterable[PairOutcome]) -> Night:
    """The night with what came of its historical constituents' jobs in steps 3 and 4."""
    known = night.historical
    records, failed = _sorted_out(outcomes, PrepareRecord)
    return replace(night, historical=replace(known, prepared=records, failed={**known.failed, **failed}))


def with_trained(night: Night, outcomes: Iterable[PairOutcome]) -> Night:
    """The night with what came of its historical constituents' jobs in steps 5 to 7."""
    known = night.historical
    records, failed = _sorted_out(outcomes, TrainRecord)
    return replace(night, historical=replace(known, trained=records, failed={**known.failed, **failed}))


R = TypeVar("R", IngestRecord, PrepareRecord, TrainRecord)


def _sorted_out(outcomes: Iterable[PairOutcome], kind: type[R]) -> tuple[dict[str, R], dict[str, str]]:
    """Records by coin, and by coin the code of why there is none to go on with."""
    records: dict[str, R] = {}
    failed: dict[str, str] = {}
    for outcome in outcomes:
        if isinstance(outcome.result, Failed):
            failed[outcome.coin] = outcome.result.code
            continue
        record = outcome.result.record
        refused = _refused(record)
        if refused is not None:
            failed[outcome.coin] = refused.code.value
        elif isinstance(record, kind):
            records[outcome.coin] = record
    return records, failed


def _refused(record: PairRecord) -> Skip | None:
    """The skip of a wave's record that leaves nothing to go on with: wave 1's own, or wave 3's first without any
    cell.
    """
    if isinstance(record, TrainRecord):
        return None if record.cells or not record.skips else record.skips[0]
    return record.skip if isinstance(record, IngestRecord) else None


def with_drawn(night: Night, panel_size: int) -> Night:
    """The night with the historical constituents that a pool of tonight draws among all that were in its tier on some
    day.
    """
    living = {coin: record for coin, record in night.ingested.items() if record.skip is None}
    spans = {coin: record.pool_days or {} for coin, record in (living | {**night.historical.ingested}).items()}
    markets = {coin: night.plan.member(coin).instrument.market for coin in {*living, *spans}}
    drawn: set[str] = set()
    for market, tier in {(markets[coin], record.tradable.tier) for coin, record in living.items()}:
        drawn.update(draw((coin for coin in spans if markets[coin] == market and spans[coin].get(tier)), panel_size))
    taking = tuple(sorted(drawn & set(night.historical.ingested)))
    return replace(night, historical=replace(night.historical, drawn=taking))


def known_constituents(night: Night) -> int:
    """How many historical constituents the night knows, whatever became of them."""
    return len(night.historical.ingested.keys() | night.historical.failed.keys())


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstituentCounts:
    """What became of the historical constituents: how many there were (and were earlier listings of a symbol), were
    drawn and are in the evidence, and why others are not.
    """

    known: int
    earlier_listings: int
    drawn: int
    evaluated: int
    refused: Mapping[str, int]

    def as_dict(self) -> dict[str, Json]:
        """As the summary has it."""
        counts: dict[str, Json] = {"known": self.known, "earlier_listings": self.earlier_listings}
        return {**counts, "drawn": self.drawn, "walked": self.evaluated, "refused": {**self.refused}}


def constituent_counts(night: Night) -> ConstituentCounts:
    """Those of a night."""
    found = night.historical
    return ConstituentCounts(
        known=known_constituents(night),
        earlier_listings=sum(one.instrument.listing_end > 0 for one in night.plan.historical),
        drawn=len(found.drawn),
        evaluated=len(found.trained),
        refused=dict(sorted(Counter(found.failed.values()).items())),
    )


OF_DATA: Final = frozenset({"NO_DATA", "SHORT_HISTORY", "TOO_FEW_ROWS", "SPREAD_TOO_WIDE"})
"""Reasons for which a pair would not have been backtested in its own time either."""


def survivor_notes(night: Night, *, counted: bool) -> tuple[str, ...]:
    """What must be said of evidence from past days where pairs are missing that were traded then."""
    if not counted:
        return ("evidence from past days is of tonight's members alone: pairs that fell out since are not in it",)
    lost = Counter(code for code in night.historical.failed.values() if code not in OF_DATA)
    if not lost:
        return ()
    reasons = ", ".join(f"{code} {number}" for code, number in sorted(lost.items()))
    pairs = "1 historical constituent" if lost.total() == 1 else f"{lost.total()} historical constituents"
    return (f"evidence from past days lacks {pairs} that could not be backtested ({reasons})",)
