"""Jobs, their configuration and the two hashes: equal content, equal identity."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huracan.domain.ids import Instrument
from huracan.errors import ConfigError
from huracan.training import jobs
from huracan.training.jobs import (
    TrainingBackend,
    TrainingConfig,
    TrainingJob,
    compute_code_hash,
    compute_features_hash,
)


def test_the_same_work_has_the_same_id_and_other_work_another():
    job = TrainingJob("BTC", "1h", "trend", "flow", payload={"a": 1, "b": [2]})
    same = TrainingJob(
        "BTC", "1h", "trend", "flow", priority=9, payload={"b": [2], "a": 1}, created_at=datetime.now(UTC)
    )
    assert job.job_id == same.job_id
    others = [
        TrainingJob("ETH", "1h", "trend", "flow", payload={"a": 1, "b": [2]}),
        TrainingJob("BTC", "4h", "trend", "flow", payload={"a": 1, "b": [2]}),
        TrainingJob("BTC", "1h", None, "flow", payload={"a": 1, "b": [2]}),
        TrainingJob("BTC", "1h", "trend", None, payload={"a": 1, "b": [2]}),
        TrainingJob("BTC", "1h", "trend", "flow"),
    ]
    assert len({job.job_id, *(other.job_id for other in others)}) == 6
    assert TrainingJob("BTC", "1h", job_id="mine").job_id == "mine"


def test_a_job_survives_the_way_to_a_worker():
    job = TrainingJob(
        "币安", "*", priority=3, payload={"keys": ["x"]}, created_at=datetime(2026, 1, 1, tzinfo=UTC), attempts=2
    )
    back = TrainingJob.from_json(job.to_json())
    assert back.status == "running"
    assert back.to_json() == job.to_json()
    assert TrainingJob.from_json(TrainingJob("BTC", "1h").to_json()).created_at is None


def test_a_backend_may_be_named_by_its_text():
    assert TrainingConfig(backend="dask").backend is TrainingBackend.DASK


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"backend": "spark"}, "backend is 'spark', wanted one of ray, dask, asyncio"),
        ({"max_concurrent_jobs": 0}, "max_concurrent_jobs is 0, wanted at least 1"),
        ({"num_workers": True}, "num_workers is True"),
        ({"lookback_days": -1}, "lookback_days is -1"),
        ({"max_attempts": 0}, "max_attempts is 0"),
        ({"recycle_after": 0}, "recycle_after is 0"),
        ({"gpu_per_worker": -1}, "gpu_per_worker is -1"),
        ({"retry_backoff_s": float("nan")}, "retry_backoff_s is nan"),
        ({"job_timeout_s": 0}, "job_timeout_s is 0"),
        ({"risk_preset": "wild"}, "risk_preset is 'wild', wanted one of conservative"),
        ({"horizons": []}, "horizons is empty"),
        ({"horizons": ["1h", "hour"]}, "'hour' is not a number"),
    ],
)
def test_a_configuration_out_of_range_is_refused_with_the_value(values, message):
    with pytest.raises(ConfigError, match=message):
        TrainingConfig(**values)


def test_the_code_hash_follows_the_sources_and_nothing_else(tmp_path):
    compute_code_hash.cache_clear()
    first = compute_code_hash()
    assert compute_code_hash() == first
    assert len(first) == 64
    (tmp_path / "room").mkdir()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.py").write_text("x")
    (tmp_path / "room" / "a.py").write_bytes(b"x = 1\r\n")
    (tmp_path / "table.json").write_text("{}")
    (tmp_path / "note.txt").write_text("ignored")
    assert sorted(jobs._sources(tmp_path, "")) == [("room/a.py", b"x = 1\n"), ("table.json", b"{}")]


FRAME = pl.DataFrame({"a": [1.0, float("nan"), None], "b": ["x", "y", None], "c": [1, 2, 3], "d": [[1], [2], []]})


@pytest.mark.parametrize(
    "other",
    [
        FRAME.rename({"a": "z"}),
        FRAME.with_columns(pl.col("a").fill_null(0.0)),
        FRAME.with_columns(pl.col("a").fill_nan(0.0)),
        FRAME.with_columns(pl.lit("x").alias("b")),
        FRAME.with_columns(pl.col("c").cast(pl.Int32)),
        FRAME.select("b", "a", "c", "d"),
        FRAME.head(2),
        FRAME.with_columns(d=pl.Series([[1], [3], []])),
    ],
)
def test_any_change_of_a_frame_changes_its_hash(other):
    assert compute_features_hash(FRAME) == compute_features_hash(FRAME.clone())
    assert compute_features_hash(FRAME) != compute_features_hash(other)


def test_the_order_of_a_mapping_does_not_matter_and_that_of_a_list_does():
    assert compute_features_hash({"a": 1, "b": 2.0}) == compute_features_hash({"b": 2.0, "a": 1})
    assert compute_features_hash(["a", "b"]) != compute_features_hash(["b", "a"])
    assert compute_features_hash({"a", "b"}) == compute_features_hash({"b", "a"})


def test_all_nan_are_one_value_and_signed_zeros_are_two():
    odd_nan = np.frombuffer(b"\x01\x00\x00\x00\x00\x00\xf8\x7f")
    assert compute_features_hash(odd_nan) == compute_features_hash(np.array([np.nan]))
    assert compute_features_hash(-0.0) != compute_features_hash(0.0)


def test_layout_in_memory_does_not_matter():
    array = np.arange(6.0).reshape(2, 3)
    assert compute_features_hash(array) == compute_features_hash(np.asfortranarray(array))
    assert compute_features_hash(array) == compute_features_hash(array.astype(">f8"))
    assert compute_features_hash(array) != compute_features_hash(array.reshape(3, 2))


def test_frames_of_pandas_records_and_dates_have_hashes_too():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    assert compute_features_hash(frame) == compute_features_hash(frame.copy())
    assert compute_features_hash(frame) != compute_features_hash(frame.rename(columns={"a": "z"}))
    instrument = Instrument(market="um", symbol="BTCUSDT", base="BTC", quote="USDT")
    assert compute_features_hash(instrument) != compute_features_hash(
        Instrument(market="spot", symbol="BTCUSDT", base="BTC", quote="USDT")
    )
    assert compute_features_hash(pl.Series([datetime(2026, 1, 1, tzinfo=UTC)])) != compute_features_hash(
        pl.Series([datetime(2026, 1, 2, tzinfo=UTC)])
    )
    assert compute_features_hash(b"x") != compute_features_hash("x")


def test_what_has_no_values_has_no_hash():
    with pytest.raises(TypeError, match="features of type object have no hash"):
        compute_features_hash({"a": object()})


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(json_like, json_like)
def test_different_values_have_different_hashes(left, right):
    equal = repr(left) == repr(right) or (isinstance(left, dict) and left == right)
    if not equal and left != right:
        assert compute_features_hash(left) != compute_features_hash(right)
