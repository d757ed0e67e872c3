"""The script behind the shipped table: what it drops, what it finds, and that the table is its output."""

import datetime as dt
import importlib.util
import json
from pathlib import Path

import polars as pl
import pytest

from huracan.promotion import shipped_stress_table

ROOT = Path(__file__).parents[2]
CANDLES = ROOT.parent / "shared" / "market" / "klines" / "spot-1d.parquet"
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("stress_table_tool", ROOT / "tools" / "stress_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def candles(path, closes, *, missing=(), volume=2e8):
    rows = [
        {"symbol": "XUSDT", "open_time": day * DAY_MS, "open": c, "high": c, "low": c, "close": c, "volume": volume / c}
        for day, c in enumerate(closes)
        if day not in missing
    ]
    pl.DataFrame(rows).write_parquet(path)
    return path


def test_listing_day_gaps_young_days_and_the_unclosed_bar_are_left_out(tool, tmp_path):
    closes = [100.0] * 60
    closes[1:] = [1.0] * 59  # the listing day opens at a fictitious price
    closes[40:] = [0.5] * 20  # a crash on the far side of a gap
    closes[50:] = [0.6] * 10
    closes[59] = 90.0  # unclosed
    returns = tool.daily_returns(candles(tmp_path / "c.parquet", closes, missing=(39,)))
    assert returns["date"].min() >= dt.date(1970, 1, 31)
    assert returns["return_bps"].round(6).unique().sort().to_list() == [0.0, 2_000.0]


def test_the_tier_is_the_one_known_before_the_day(tool, tmp_path):
    path = candles(tmp_path / "c.parquet", [1.0] * 50, volume=1e7)
    assert tool.daily_returns(path)["tier"].unique().to_list() == ["C"]
    path = candles(tmp_path / "c.parquet", [1.0] * 50, volume=14e6)
    assert tool.daily_returns(path)["tier"].unique().to_list() == ["B"]


@pytest.mark.market
@pytest.mark.skipif(not CANDLES.exists(), reason="recorded candles are not here")
def test_the_shipped_table_is_what_the_script_makes_of_the_recorded_candles(tool):
    shipped = shipped_stress_table()
    assert tool.tier_table(tool.daily_returns(CANDLES)) == shipped["tiers"]
    assert (shipped["factor_bps"], shipped["idio_bps"]) == (tool.FACTOR_BPS, tool.IDIO_BPS)
    assert tool.SURVIVORS in shipped["note"]
    assert json.dumps(shipped, allow_nan=False)
