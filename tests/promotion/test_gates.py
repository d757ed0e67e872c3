"""The gates a challenger must pass besides its e-value."""

import numpy as np
import pytest

from huracan.promotion.gates import closed_gates, read_gates


def reading(net=None, *, stressed=None, champion=None, with_position=None, preset="balanced"):
    net = np.full(80, 5.0) if net is None else np.asarray(net, dtype=np.float64)
    return read_gates(
        net,
        net - 1.0 if stressed is None else np.asarray(stressed, dtype=np.float64),
        np.zeros_like(net) if champion is None else np.asarray(champion, dtype=np.float64),
        with_position=net.size if with_position is None else with_position,
        preset=preset,
    )


def test_a_steady_earner_passes():
    assert closed_gates(reading()) == ()


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (reading(np.full(59, 5.0)), "59 observed days, 60 wanted"),
        (reading(with_position=29), "29 days with a position, 30 wanted"),
        (reading(stressed=np.full(80, -0.5)), "-0.50 bps a day at 1.5 x costs"),
        (reading(np.r_[np.full(40, 100.0), np.full(40, -50.0)]), "drawdown 20.0%, at most 15.0% wanted"),
    ],
)
def test_each_gate_closes_for_its_own_reason(case, said):
    assert len(closed_gates(case)) == 1
    assert said in closed_gates(case)[0]


def test_the_preset_and_the_champion_set_the_drawdown_allowed():
    bumpy = np.r_[np.full(40, 100.0), np.full(40, -45.0)]
    assert reading(bumpy).drawdown == pytest.approx(0.18)
    assert closed_gates(reading(bumpy)) != ()
    assert closed_gates(reading(bumpy, preset="aggressive")) == ()
    assert closed_gates(reading(bumpy, champion=bumpy)) == ()
    assert reading(bumpy, preset="conservative").drawdown_limit == pytest.approx(0.10)


def test_without_a_scored_day_every_count_is_missing():
    assert len(closed_gates(reading(np.empty(0)))) == 3
