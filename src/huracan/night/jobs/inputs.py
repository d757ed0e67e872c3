"""What the work on a pair touches, and how it reads what an earlier wave has stored."""

from dataclasses import dataclass
from typing import Final

from huracan.domain.frames import Bars, FeatureFrame, LabelledSet, MarketContext
from huracan.domain.night_records import ArtefactRef, ContextRecord, ContextRef, PrepareRecord
from huracan.domain.records import Candidate, IntegrityReport
from huracan.domain.time import Horizon
from huracan.errors import SchemaError
from huracan.ingest import (
    IngestConfig,
    validate_bars,
)
from huracan.night.jobs.artefacts import Artefacts
from huracan.night.plan import NightPlan
from huracan.ports import Lake, MarketData
from huracan.training import PairGrams, PoolPrior

CONTEXT_FILE: Final = "context.parquet"

FEATURES_FILE: Final = "features.parquet"

LABELS_FILE: Final = "labels.parquet"

GRAMS_FILE: Final = "grams.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPorts:
    """What a pair's work touches of the outside world."""

    lake: Lake
    artefacts: Artefacts
    market: MarketData


def load_bars(
    lake: Lake, plan: NightPlan, member: Candidate, *, data_hash: str | None = None
) -> tuple[Bars, IntegrityReport]:
    """Validated bars of a member or historical constituent up to the cut-off, from the lake alone.

    Raises SchemaError where `data_hash` is given and these are not the bars that have it: the lake has changed
    meanwhile.
    """
    instrument = member.instrument
    bars, report = validate_bars(
        instrument,
        lake.bars(instrument, plan.start_ms, plan.cutoff_ms),
        lake.funding(instrument, plan.start_ms, plan.cutoff_ms),
        IngestConfig(interval_ms=plan.interval_ms),
        start_ms=plan.start_ms,
        end_ms=plan.cutoff_ms,
        vendor="binance",
        doubles=lake.doubles(instrument, plan.start_ms, plan.cutoff_ms),
    )
    if data_hash is not None and bars.data_hash != data_hash:
        raise SchemaError(
            f"{instrument.id}: the lake's bars have the hash {bars.data_hash[:16]}, those that were validated tonight had "
            f"{data_hash[:16]}; another process has changed the lake, run again"
        )
    return bars, report


def load_context(store: Artefacts, context: ContextRef | None) -> MarketContext | None:
    """The night's market context, by the sha256 of its record, or None when there is none."""
    if context is None:
        return None
    record = store.record(ContextRecord, context.key, context.sha256)
    return MarketContext(
        frame=store.frame(f"{context.key}/{CONTEXT_FILE}", record.files[CONTEXT_FILE]),
        source=record.source,
        members=record.members,
        context_hash=record.context_hash,
    )


def load_prepared(
    store: Artefacts, plan: NightPlan, prepared: PrepareRecord, horizon: str
) -> tuple[FeatureFrame, LabelledSet]:
    """Features and labels that wave 2 made, by the hashes of its record."""
    member, key, files = plan.member(prepared.coin), prepared.key, prepared.files
    features = FeatureFrame(
        instrument=member.instrument,
        recipe_id=prepared.recipe_id,
        names=prepared.names,
        absent=prepared.absent,
        frame=store.frame(f"{key}/{FEATURES_FILE}", files[FEATURES_FILE]),
    )
    name = f"{horizon}/{LABELS_FILE}"
    labels = store.frame(f"{key}/{name}", files[name])
    return features, LabelledSet(horizon=Horizon.parse(horizon), frame=labels)


def load_prior(store: Artefacts, prior: ArtefactRef | None) -> PoolPrior | None:
    """The pool's prior, or None where a pair stands alone."""
    return None if prior is None else PoolPrior.from_bytes(store.read(prior.key, prior.sha256))


def load_grams(store: Artefacts, prepared: PrepareRecord, horizon: str) -> PairGrams:
    """A pair's Gram matrices, by the hash of its record."""
    name = f"{horizon}/{GRAMS_FILE}"
    return PairGrams.from_bytes(store.read(f"{prepared.key}/{name}", prepared.files[name]))
