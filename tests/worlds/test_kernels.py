"""The simulator's compiled loops against their plain twins and against what they promise."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from huracan.worlds.kernels import bounded_steps, crash_steps, draw_bars, regime_chain, slow_signal
from huracan.worlds.process import REGIME_ENTRY, REGIME_SHARE, T3_SCALE


def plain(kernel: Any) -> Any:
    return kernel.py_func


def shocks(n: int, seed: int) -> np.ndarray:
    return np.clip(np.random.default_rng(seed).standard_t(3, n) / T3_SCALE, -8, 8)


def test_compiled_kernels_equal_their_plain_twins_bit_for_bit() -> None:
    rng = np.random.default_rng(1)
    n = 700
    uniform, other, normal = rng.random(n), rng.random(n), rng.standard_normal(n)
    scale, drift = rng.random(n) * 1e-2, normal * 1e-3
    hazard, entry = np.full(4, 0.05), np.cumsum(REGIME_ENTRY)
    steps, sizes = bounded_steps(shocks(n, 2), scale, drift, 0.08, 96, 0.01, 0.02)
    trades = (rng.random(n) > 0.2).astype(float)
    bars = (
        *(steps, sizes, normal * 1e-5, np.full(n, 1e-4), rng.integers(0, 4, n, dtype=np.int8)),
        *(-np.log(uniform), -np.log(other), trades, 12.5, -0.16, 0.16, 96, 1e4),
    )
    calls = (
        (regime_chain, (uniform, other, hazard, entry)),
        (slow_signal, (normal, 0.99)),
        (bounded_steps, (shocks(n, 2), scale, drift, 0.08, 96, 0.01, 0.02)),
        (crash_steps, (uniform, 0.02, 0.2, 96)),
        (draw_bars, bars),
    )
    for kernel, arguments in calls:
        np.testing.assert_array_equal(np.asarray(kernel(*arguments)), np.asarray(plain(kernel)(*arguments)))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    cap=st.floats(1e-4, 0.3),
    volatility=st.floats(1e-5, 0.2),
    drift=st.floats(-0.1, 0.1),
    per_day=st.sampled_from([24, 96, 1440]),
)
def test_a_path_never_leaves_its_bound_whatever_its_volatility_and_drift(
    seed: int, cap: float, volatility: float, drift: float, per_day: int
) -> None:
    n = 2 * per_day
    extreme = np.where(np.random.default_rng(seed).random(n) < 0.5, 8.0, -8.0) if seed % 2 else shocks(n, seed)
    steps, sizes = bounded_steps(extreme, np.full(n, volatility), np.full(n, drift), cap, per_day, 0.01, 0.02)
    paths = np.cumsum(steps.reshape(2, per_day), axis=1)
    assert np.abs(paths).max() <= cap * (1 + 1e-12)
    assert (sizes >= 0).all()
    assert (sizes <= volatility * np.sqrt(5.0) * (1 + 1e-12)).all()


def test_step_sizes_depend_on_the_past_alone() -> None:
    first, second = shocks(200, 5), shocks(200, 5)
    second[120:] *= -1
    scale, drift = np.full(200, 2e-3), np.zeros(200)
    steps_a, sizes_a = bounded_steps(first, scale, drift, 0.01, 96, 0.01, 0.02)
    steps_b, sizes_b = bounded_steps(second, scale, drift, 0.01, 96, 0.01, 0.02)
    np.testing.assert_array_equal(sizes_a[:121], sizes_b[:121])
    assert steps_a[120] == -steps_b[120]


def test_clipped_scaled_t3_shocks_have_unit_variance() -> None:
    density = stats.t(3)
    inside = integrate.quad(lambda x: (x / T3_SCALE) ** 2 * density.pdf(x), 0, 8 * T3_SCALE)[0]
    assert 2 * (inside + 64 * density.sf(8 * T3_SCALE)) == pytest.approx(1.0, abs=1e-9)


def test_the_signal_is_stationary_with_unit_variance_and_the_asked_half_life() -> None:
    starts = [slow_signal(np.random.default_rng(seed).standard_normal(400), 0.5 ** (1 / 100)) for seed in range(1500)]
    paths = np.array(starts)
    assert paths[:, 0].var() == pytest.approx(1.0, abs=0.12)
    assert paths[:, 399].var() == pytest.approx(1.0, abs=0.12)
    assert np.mean(paths[:, 0] * paths[:, 100]) == pytest.approx(0.5, abs=0.1)


def test_regimes_take_their_declared_share_of_time() -> None:
    rng = np.random.default_rng(3)
    hazard = 1.0 / np.array([12.0, 18.0, 3.0, 5.0])
    codes = regime_chain(rng.random(200_000), rng.random(200_000), hazard, np.cumsum(REGIME_ENTRY))
    np.testing.assert_allclose(np.bincount(codes, minlength=4) / codes.size, REGIME_SHARE, atol=0.02)


@given(hazard=st.floats(1e-6, 0.2), jump=st.floats(0.01, 0.5))
def test_small_gains_pay_exactly_for_the_crashes(hazard: float, jump: float) -> None:
    steps = crash_steps(np.array([1.0, 0.0, 0.0, 1.0]), hazard, jump, 4)
    gain = steps[0]
    assert (1 - hazard) * gain - hazard * jump == pytest.approx(0.0, abs=1e-12)
    assert steps[1] == -jump
    assert not steps[2:].any(), "the day is still after its crash"


def test_bars_without_trades_repeat_the_previous_close() -> None:
    n = 6
    trades = np.array([0.0, 1.0, 0.0, 0.0, 1.0, 0.0])
    ones = np.ones(n)
    o, h, lo, c = draw_bars(
        ones * 1e-3,
        ones * 1e-4,
        ones * 0,
        ones * 1e-4,
        np.zeros(n, np.int8),
        ones,
        ones,
        trades,
        2.0,
        -0.1,
        0.1,
        96,
        1e4,
    )
    assert o[0] == h[0] == lo[0] == c[0] == 2.0
    assert (o[2:4] == c[1]).all()
    assert (h[2:4] == lo[2:4]).all()
    assert o[5] == c[4]
    assert c[4] != c[1]
