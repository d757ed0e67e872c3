# ruff: noqa: INP001
"""One pair at one horizon through one night, from the archive's files to the skip. Every number is read from the night.

Run ``.venv/bin/python tools/one_night.py WORKDIR COIN HORIZON [--write docs/one-night.md]``.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from huracan.adapters.lake import DeltaLake
from huracan.domain.codec import from_bytes
from huracan.domain.ids import Instrument
from huracan.domain.night_records import CellRecord, PrepareRecord, TrainRecord
from huracan.domain.time import iso

PAGE = """# One night, followed with one pair

This page follows **{coin}** at **{horizon}** through one night of a simulated market. All numbers are read from that night by
`tools/one_night.py`, and a test compares them. The rooms and records are those of [architecture](architecture.md).

## Step 1: the universe
The exchange lists {instrument}. It trades enough, its spread is narrow enough, so the pair is a member of the night.
The plan fixes the last decision time: {cutoff}.

## Step 2: from zip to bars
- The archive has {files} files of the pair. `{first_file}` holds {first_rows:,} rows. Its checksum must equal the archive's.
- The lake's table keeps {rows:,} bars of {minutes} minutes, and the sha256 of each file they came from.
- Validation reads {rows_in:,} bars and passes {rows_out:,}. It repairs {repaired}, cuts {cut}, and leaves {holes} gap of {hole_bars} bars open.
  Of the bars that should be there, {quality:.2%} arrived whole.
- The bars that passed have one hash. Every later record names it, so no other bars can take their place.

`IngestRecord` says what the bars are worth: spread {spread:.1f} bps from the {source}, tier {tier}.

## Step 3: features
{features} features are known, each from bars that had closed. {absent} others cannot be told from bars of {minutes} minutes.
At {valid:,} of the hourly decisions every feature is known.

## Step 4: labels
A decision is filled at the first price that its latency allows. Its label is the return from there, one horizon later.
{labels:,} labels are known. A feature that predicts them too well to be true refuses the horizon, with the code `LEAK`. In this
simulated market the edge is planted in features, so they are exempt. `PrepareRecord` names the files.

## Step 5: training
{engines} engines of the recipe `{recipe}` are fitted in {folds} walk-forward folds, each on labels that had closed before its first day.
They give {forecasts:,} forecasts out of fold. The live model is fitted on {window}.

## Step 6: costs
A round trip costs {cost:.1f} bps here: fees, half the spread twice, slippage, funding.
Over the {days} days that are scored, the model makes {trips} round trips.{why_none}

## Step 7: consensus
The engines' votes are weighed by how reliable they were, less what they share. At the last decision S is {score:.2f},
the confidence is {confidence:.0%}, and the threshold is {threshold:.2f}. The regime is {regime}. `CellRecord` holds all of it.

## Step 8: the pool
{coin} belongs to the pool `{pool}` with {members} {member_word}. {observed} days count as evidence. {position_days} of them had a position.
The e-value is {e:.3g}, and {needed:,.0f} is needed. The gates still want: {gates}.

## Step 9: the skip
The night ends for {coin} at {horizon} with a reason instead of a champion:

> `{code}`: {reason} (measured {measured:g}, wanted {wanted:g})

Champions and skips together are every pair at every horizon. {coin} is on the do-not-trade list with that reason.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What a finished night left in its workdir."""

    workdir: Path
    summary: dict[str, Any]
    integrity: dict[str, Any]

    @classmethod
    def read(cls, workdir: Path) -> "Night":
        """The newest night of a workdir."""
        summary = json.loads(max((workdir / "summaries").glob("*.json")).read_bytes())
        integrity = json.loads((workdir / "reports" / summary["run_id"] / "integrity.json").read_bytes())
        return cls(workdir=workdir, summary=summary, integrity=integrity)

    def record(self, kind: type[Any], wave: str, coin: str) -> Any:
        """The record of a coin in a wave."""
        files = (self.workdir / "artefacts" / wave).glob("*/result.json")
        records = (from_bytes(kind, file.read_bytes()) for file in files)
        return next(record for record in records if record.coin == coin)

    def frame(self, key: str) -> pl.DataFrame:
        """A stored frame."""
        return pl.read_parquet(self.workdir / "artefacts" / key)


def page(workdir: Path, coin: str, horizon: str) -> str:
    """The page of one pair at one horizon."""
    night = Night.read(workdir)
    prepared: PrepareRecord = night.record(PrepareRecord, "prepare", coin)
    trained: TrainRecord = night.record(TrainRecord, "train", coin)
    (cell,) = (cell for cell in trained.cells if cell.horizon == horizon)
    cutoff = night.summary["data_cutoff"].replace("T00:00:00Z", ", midnight UTC")
    named = {"coin": coin, "horizon": horizon, "cutoff": cutoff}
    parts = (_data(night, coin), _made(prepared, horizon), _trained(night, cell), _decided(night, coin, horizon))
    return PAGE.format(**named, **{name: value for part in parts for name, value in part.items()})


def _data(night: Night, coin: str) -> dict[str, Any]:
    (row,) = (row for row in night.integrity["instruments"] if row["coin"] == coin)
    symbol, _, market = row["instrument"].rpartition("-")
    instrument = Instrument(market="um" if market == "um" else "spot", symbol=symbol, base="", quote="")
    (place,) = (night.workdir / "lake").iterdir()
    lake = DeltaLake(str(place))
    files = lake.files(instrument)
    first = min(name for name in files if "funding" not in name)
    counts = row["counts"]
    return {
        "instrument": row["instrument"],
        "files": len(files),
        "first_file": first,
        "first_rows": files[first].rows,
        "rows": lake.bars(instrument, 0, 1 << 60).height,
        "minutes": night.integrity["interval_ms"] // 60_000,
        **{name: row[name] for name in ("rows_in", "rows_out", "repaired", "cut", "quality")},
        "holes": counts["gaps"] + counts["holes"],
        "hole_bars": counts["hole_bars"],
    }


def _made(prepared: PrepareRecord, horizon: str) -> dict[str, Any]:
    return {
        "features": len(prepared.names),
        "absent": len(prepared.absent),
        "valid": prepared.rows,
        "labels": prepared.horizons[horizon].labels,
        "source": prepared.spread_source.value,
    }


def _trained(night: Night, cell: CellRecord) -> dict[str, Any]:
    forecasts, daily = (night.frame(f"{cell.root}/{name}.parquet") for name in ("forecasts", "daily"))
    edges = night.frame(f"{cell.root}/edges.parquet")
    start, end = (iso(time)[:10] for time in cell.window_ms)
    trips, live = cell.costs["round_trips"], cell.live
    assert live is not None
    none = " No forecast passes its costs, so the model stays out." if trips == 0 else ""
    return {
        "engines": len(cell.engines),
        "folds": edges["fold_day"].n_unique(),
        "forecasts": forecasts.height,
        "window": f"{start} to {end}",
        "cost": cell.round_trip_cost_bps,
        "days": daily.height,
        "trips": trips,
        "why_none": none,
        "score": live.score,
        "confidence": live.confidence,
        "threshold": cell.threshold,
        "regime": cell.regime,
        "spread": float(edges_spread(night, cell)),
    }


def edges_spread(night: Night, cell: CellRecord) -> float:
    """The spread (bps) that a pair was charged, from its features."""
    prepared = night.record(PrepareRecord, "prepare", cell.gate.coin)
    return float(night.frame(f"{prepared.key}/features.parquet")["spread_bps"][-1])


def _decided(night: Night, coin: str, horizon: str) -> dict[str, Any]:
    summary = night.summary
    (pool,) = (pool for pool in summary["pools"] if coin in pool["members"])
    row = next(row for row in summary["evidence"] if (row["pool"], row["horizon"]) == (pool["pool"], horizon))
    skip = next(skip for skip in summary["skipped"] if (skip["coin"], skip["horizon"]) == (coin, horizon))
    members = len(pool["members"])
    return {
        "pool": pool["pool"],
        "tier": pool["pool"].rpartition("-")[2],
        "members": members,
        "member_word": "member" if members == 1 else "members",
        "recipe": row["recipe"],
        "observed": row["observed_days"],
        "position_days": row["position_days"],
        "e": row["e"],
        "needed": row["needed"],
        "gates": "; ".join(row["closed_gates"]) or "nothing",
        **{name: skip[name] for name in ("code", "reason", "measured", "wanted")},
    }


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", type=Path)
    parser.add_argument("coin")
    parser.add_argument("horizon")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    text = page(given.workdir, given.coin, given.horizon)
    if given.write:
        given.write.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
