"""Which historical days count, and what the others may lend."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huracan.domain.recipe import SHIPPED_SEEN
from huracan.domain.time import DAY_MS, parse_iso
from huracan.errors import ConfigError
from huracan.promotion.days import Start, counts_in_full, seen_days, taxed_start
from huracan.stats.evalues import e_process_path
from huracan.training.recipes import ENGINES_OF, built_in_recipes

SEEN = (("2025-06-11", "2025-11-12"),)


def number(text):
    return parse_iso(text) // DAY_MS


def test_days_somebody_looked_at_do_not_count_unless_they_came_after_the_registration():
    days = np.array([number(t) for t in ("2025-06-10", "2025-06-11", "2025-11-12", "2025-11-13")])
    assert seen_days(days, SEEN).tolist() == [False, True, True, False]
    assert counts_in_full(days, SEEN, registered_day=number("2026-05-01")).tolist() == [True, False, False, True]
    assert counts_in_full(days, SEEN, registered_day=number("2025-06-11")).tolist() == [True, False, True, True]


def test_an_interval_that_ends_before_it_starts_is_a_configuration_error():
    with pytest.raises(ConfigError, match="ends before"):
        seen_days(np.array([1]), (("2025-02-01", "2025-01-01"),))


def test_seen_days_lend_the_taxed_e_value_capped_at_five():
    good = np.full(60, 20.0)
    e = e_process_path(good, 150.0)[-1]
    assert 50.0 < e < 5_000.0
    assert taxed_start(good, 150.0, int(e / 2)) == Start(e=pytest.approx(2.0, rel=0.05), trials=int(e / 2))
    assert taxed_start(good, 150.0, 2) == Start(e=5.0, trials=2)
    assert taxed_start(good, 150.0, 10_000) == Start(e=1.0, trials=0)


@given(st.lists(st.floats(-100, 100), max_size=30), st.integers(0, 500))
def test_a_start_is_never_below_one_nor_above_five(values, trials):
    start = taxed_start(np.array(values), 150.0, trials)
    assert 1.0 <= start.e <= 5.0
    assert (start.trials == 0) == (start.e == 1.0)


@pytest.mark.slow
def test_the_best_of_fifty_null_recipes_rarely_gains_from_its_seen_days():
    rng, started = np.random.default_rng(8), []
    for _ in range(300):
        values = rng.uniform(-0.5, 0.5, (50, 120))
        best = max((row for row in values), key=lambda row: e_process_path(row, 1.0)[-1])
        started.append(taxed_start(best, 1.0, 50).e)
    assert np.mean(np.array(started) > 1.0) < 0.06
    assert np.mean(started) < 1.05  # the larger of 1 and e / M is not quite an e-value: measured 1.02


def test_every_look_of_the_makers_is_in_the_register_and_counts_for_nothing():
    register = (Path(__file__).parents[2] / "docs" / "trials.md").read_text(encoding="utf-8")
    looks = re.findall(r"^\|[^|]*\| (\d{4}-\d\d-\d\d) to (\d{4}-\d\d-\d\d) \|", register, re.MULTILINE)
    assert sorted(looks) == sorted(SHIPPED_SEEN)
    assert {recipe.seen for recipe in built_in_recipes(list(ENGINES_OF), feature_recipe="core")} == {SHIPPED_SEEN}
    edges = np.array([number(day) for look in looks for day in look])
    assert not counts_in_full(edges, SHIPPED_SEEN, registered_day=number("2026-11-22")).any()
