"""Your own data, features and model in a whole night, offline: `python examples/own_model.py`.

The market is simulated and served on loopback; nothing is sent anywhere else. For real markets leave out `simulated`.
"""

import argparse
import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from huracan import FitJob, FitResult, HamiltonInterface, TrainingPipeline, TrainingPipelineConfig
from huracan.cli.notices import Notices
from huracan.cli.watching import watched
from huracan.errors import HuracanError
from huracan.settings import Settings, load_settings
from huracan.worlds.exchange import ReplayExchange
from huracan.worlds.simulated import simulate
from huracan.worlds.spec import WorldSpec


class ParquetFolder:
    """A data source: one file a coin, with the start of each bar, its prices and its volume."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def __call__(self, coin: str, lookback_days: int) -> pl.DataFrame:
        """Bars of a pair as the night names it: ``BTC`` is the perpetual, ``BTCUSDT-spot`` the spot pair."""
        return await asyncio.to_thread(pl.read_parquet, self.folder / f"{coin}.parquet")


async def feature_builder(coin: str, bars: pl.DataFrame) -> pl.DataFrame:
    """Two features of each bar, from that bar and earlier ones alone; null while they warm up."""
    ret = pl.col("close").log().diff()
    return bars.sort("open_time").select(
        "open_time",
        momentum=ret.rolling_sum(24) / (ret.rolling_std(24) * 24**0.5),
        volume_surprise=(pl.col("volume") / pl.col("volume").rolling_mean(72)).log(),
    )


class Ridge:
    """Slopes in bps a unit of each feature, in the order of the job, and an intercept in bps."""

    def __init__(self, coef: np.ndarray, intercept: float) -> None:
        self.coef_, self.intercept_ = coef, intercept

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Forecasts in bps of rows (n, p); compared with what coef_ and intercept_ say."""
        return np.asarray(x @ self.coef_ + self.intercept_)


def model_trainer(job: FitJob) -> FitResult:
    """One ridge regression of the label, in bps, on the features of the train rows of one fold."""
    x, y, weight = np.column_stack(list(job["features"].values())), job["labels"], job["weights"]
    if len(y) < 50:
        return {"success": False, "error": f"only {len(y)} rows"}
    mean, spread = x.mean(axis=0), x.std(axis=0)
    z = (x - mean) / spread
    slope = np.linalg.solve((z.T * weight) @ z + 300.0 * np.eye(z.shape[1]), (z.T * weight) @ y)
    coef = slope / spread
    return {"success": True, "model": Ridge(coef, float(-mean @ coef))}


def night(folder: Path, bars: Path, settings: Settings) -> dict[str, Any]:
    """One whole night with all three; the result says what became of every pair."""
    config = TrainingPipelineConfig(horizons=["1h"], lookback_days=40, workdir=folder / "work", settings=settings)
    with watched(Notices()) as telemetry:
        pipeline = TrainingPipeline(
            config=config,
            data_loader=ParquetFolder(bars),
            feature_builder=feature_builder,
            model_trainer=model_trainer,
            telemetry=telemetry,
        )
        return asyncio.run(pipeline.run())


def predict(result: dict[str, Any]) -> None:
    """What Hamilton says of the first candidate, on the features of the night's last bar."""
    candidate = next(iter(result["candidates"].values()))
    hamilton = HamiltonInterface(model_base_path=result["store"], allow_candidates=True)
    prediction = hamilton.predict(candidate["coin"], candidate["horizon"], candidate["live_features"])
    print(f"{candidate['coin']} 1h: {prediction.direction}, edge {prediction.edge_bps:+.1f} bps")


@contextmanager
def simulated(folder: Path) -> Iterator[tuple[Path, Settings]]:
    """A market of three coins over 50 days in hourly bars, its exchange on loopback, and its bars as Parquet files."""
    world = simulate(WorldSpec(name="null", coins=3, days=50, interval_minutes=60))
    bars = folder / "bars"
    bars.mkdir(parents=True, exist_ok=True)
    for base in ("BTC", "ALFA", "BRAVO"):
        for coin, symbol in ((base, f"{base}USDT-um"), (f"{base}USDT-spot", f"{base}USDT-spot")):
            frame = world.klines(symbol, 0, world.now_ms)
            frame.select("open_time", "open", "high", "low", "close", "volume").write_parquet(bars / f"{coin}.parquet")
    with ReplayExchange(world, stress_file=folder / "stress.json") as exchange:
        urls = {f"binance.{name}_url": exchange.urls[name] for name in ("rest", "futures", "archive")}
        chosen = {"training.base_interval": "1h", "training.history_days": 50}
        values = {**urls, **chosen, "promotion.stress_table": exchange.urls["stress"]}
        yield bars, load_settings(None, [f"{key}={value}" for key, value in values.items()], {})


def main() -> int:
    """Run the night in a folder of its own, and say what came of it."""
    parser = argparse.ArgumentParser(description="A night with your own data, features and model, offline.")
    parser.add_argument("--folder", type=Path, default=Path("own-model"), help="for everything it makes")
    folder = parser.parse_args().folder.absolute()
    for name, place in (("KEYS_DIR", "keys"), ("TRUSTED_ROOT", "trust/root.json"), ("STATE_DIR", "state")):
        os.environ[f"HURACAN_{name}"] = str(folder / place)  # keys of this example alone
    with simulated(folder) as (bars, settings):
        result = night(folder, bars, settings)
    if not result["success"]:
        print(f"{result['code']}: {result['error']}")
        return 1
    for skip in result["skipped"]:
        print(f"{skip['coin']} {skip['horizon']}: {skip['code']}, {skip['reason']}")
    print(f"candidates for paper trading: {', '.join(result['candidates'])}")
    predict(result)
    print("The simulated market holds no edge, so hold and no edge are the right answer.")
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except HuracanError as error:
        raise SystemExit(f"{error.code}: {error}") from error
