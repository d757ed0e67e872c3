"""Why recorded days read differently tonight: which archive file, setting or code changed since the night before.

Tonight's own view (books, tiers, the first day of the window, who makes the market context) reaches the past as well,
and moves on every night. What it alone explains is not mentioned: nothing is wrong, and the recorded days stand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from huracan.domain.ids import content_hash
from huracan.domain.night_records import IngestRecord
from huracan.night.config import NightConfig
from huracan.night.state import Night
from huracan.promotion import Restatement

MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a night's reading of the past hangs on.

    `settings` are those that can change a verdict, as JSON text by dotted name. `view` is the hash of what only this
    night saw. `replaced` are archive files with other bytes than before.
    """

    settings: Mapping[str, str]
    code_hash: str
    view: str
    replaced: tuple[str, ...] = ()


def reading_of(night: Night, config: NightConfig) -> Reading:
    """Tonight's."""
    known = night.all_ingested()
    seen = [[coin, *_view(record)] for coin, record in sorted(known.items())]
    plan = night.plan
    return Reading(
        settings=dict(config.deciding),
        code_hash=plan.code_hash,
        view=content_hash("view", seen, plan.start_ms, night.context_coins, plan.quote_per_gbp),
        replaced=tuple(sorted({name for record in known.values() for name in record.replaced})),
    )


def _view(record: IngestRecord) -> tuple[float | str | int | None, ...]:
    """What of a pair only this night saw."""
    terms = record.terms
    own = (None,) * 4 if terms is None else (terms.spread_bps, terms.spread_source, terms.tier, terms.volume_day_gbp)
    return (*own, record.ended_ms, record.relisted_ms)


def restatement_notes(restated: Sequence[Restatement], tonight: Reading, earlier: Sequence[Reading]) -> tuple[str, ...]:
    """Notes on days that read differently: with what changed since the last of the `earlier` nights, or that nothing
    known did.

    Silent where only tonight's view is another one than that of any earlier night.
    """
    changed = _changed(tonight, earlier[-1]) if earlier else ["no earlier night noted what its days were read from"]
    if not changed and any(one.view != tonight.view for one in earlier):
        return ()
    why = "; changed since the last night: " + ", ".join(changed) if changed else _UNEXPLAINED
    return tuple(f"{one.sentence()}{why}; the recorded ones stand" for one in restated)


_UNEXPLAINED: Final = (
    "; no file, setting or code is known to have changed: compare the lake with the archive (huracan lake check), and look for "
    "another machine or edited artefacts"
)


def _changed(tonight: Reading, before: Reading) -> list[str]:
    files = [f"file {name}" for name in tonight.replaced]
    names = sorted({*tonight.settings, *before.settings})
    settings = [
        f"setting {name} ({before.settings.get(name, 'unset')} -> {tonight.settings.get(name, 'unset')})"
        for name in names
        if tonight.settings.get(name) != before.settings.get(name)
    ]
    code = ["the code (another version of Huracan)"] if tonight.code_hash != before.code_hash else []
    found = [*files, *settings, *code]
    return found if len(found) <= MOST_NAMED else [*found[:MOST_NAMED], f"{len(found) - MOST_NAMED} more"]
