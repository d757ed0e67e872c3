"""Records of a night's waves, for tests of what is done with them; every field may be given."""

from huracan.domain.night_records import (
    CellRecord,
    Done,
    Failed,
    GateLimits,
    HorizonLabels,
    IngestRecord,
    MarketTerms,
    PrepareRecord,
    RegimeGate,
    SpreadSource,
    TrainRecord,
)
from huracan.domain.night_rows import ServedChampion
from huracan.domain.records import IntegrityReport, Skip, SkipCode
from huracan.night.state import PairOutcome

NO_GATE = RegimeGate(
    coin="A",
    regimes={},
    performance={},
    gate=GateLimits(
        min_win_rate=None,
        min_sharpe=None,
        min_sample_size=50,
        enable_all_by_default=True,
        hysteresis=0.0,
        closes_below_standard_errors=1.0,
        reopens_above_bps=0.0,
    ),
)


def report(**given):
    """What validation found: nothing, unless it is given."""
    known = {"instrument_id": "A", "vendor": "binance", "rows_in": 0, "rows_out": 0, "repaired": 0, "cut": 0}
    return IntegrityReport(**{**known, **given})


def refused(code="STALE", coin="A", step=2):
    """The skip of a wave's record."""
    return Skip(coin=coin, horizon="*", step=step, code=SkipCode(code), reason="not fit")


def ingested(coin="A", *, tier="A", volume=1e9, skip=None, **given):
    """A record of wave 1; with a skip it has no terms."""
    skip = refused(skip, coin) if isinstance(skip, str) else skip
    terms = MarketTerms(
        spread_bps=1.0, spread_source=SpreadSource.BOOK, volume_day_gbp=volume, tier=tier, funding_known=True
    )
    known = {"report": report(), "data_hash": "d", "age_minutes": 0.0, "ended_ms": None, "relisted_ms": None}
    return IngestRecord(coin=coin, **{**known, "terms": None if skip else terms, "skip": skip, **given})


def prepared(coin="A", horizons=("1h",), **given):
    """A record of wave 2."""
    known = {
        "key": f"prepare/{coin}",
        "data_hash": "d",
        "recipe_id": "f",
        "names": (),
        "absent": (),
        "rows": 0,
        "spread_source": SpreadSource.BOOK,
        "horizons": {horizon: HorizonLabels(labels=1) for horizon in horizons},
        "files": {},
    }
    return PrepareRecord(coin=coin, **{**known, **given})


def cell(recipe_id="linear-1", horizon="1h", **given):
    """What became of one recipe at one horizon."""
    known = {
        "root": f"train/{recipe_id}/{horizon}",
        "files": {},
        "metrics": {},
        "costs": {},
        "gate": NO_GATE,
        "notes": (),
        "stopped": (),
        "engines": (),
        "reliability": {},
        "threshold": 0.0,
        "penalty": 0.0,
        "n_effective": 0.0,
        "window_ms": (0, 0),
        "decisions": 0,
        "regime": "all",
        "round_trip_cost_bps": 0.0,
        "live": None,
    }
    return CellRecord(recipe_id=recipe_id, horizon=horizon, **{**known, **given})


def trained(coin="A", *cells, skips=()):
    """A record of wave 3."""
    return TrainRecord(coin=coin, key=f"train/{coin}", cells=cells, skips=tuple(skips))


def served(coin="BTC", horizon="1h", **given):
    """A champion of the set that readers see now."""
    known = {
        "instrument": f"{coin}USDT-um",
        "data_cutoff_ms": 0,
        "recipe_id": "",
        "pool": "",
        "lineage": "",
        "damage": "",
        "regime": None,
        "edge_after_cost_bps": None,
        "confidence": None,
        "metrics": {},
        "version": 1,
        "path": "",
    }
    return ServedChampion(coin=coin, horizon=horizon, **{**known, **given})


def done(record, **given):
    """The outcome of a job that has this record."""
    return PairOutcome(coin=record.coin, result=Done(record=record, **given))


def failed(coin, code, error=""):
    """The outcome of a job without a record."""
    return PairOutcome(coin=coin, result=Failed(code=code, error=error))
