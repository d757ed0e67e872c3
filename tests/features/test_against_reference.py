"""The compiled features equal the slow reference, on clean and on broken bars, at every bar length."""

import numpy as np
import pytest

from huracan.features import ALL_NAMES, build_context, build_features

CASES = [
    pytest.param(1, 12_000, False, id="clean minutes"),
    pytest.param(1, 13_000, True, id="broken minutes"),
    pytest.param(15, 900, True, id="broken quarters"),
    pytest.param(60, 400, True, id="broken hours"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("minutes", "n", "broken"), CASES)
def test_every_feature_equals_its_definition(make_bars, make_members, reference, minutes, n, broken):
    bars = make_bars(n, seed=3, minutes=minutes, broken=broken)
    context = build_context(make_members(2 * n, ["BTC", "ETH", "SOL", "XRP"], minutes), ["BTC", "ETH", "SOL", "XRP"])
    built = build_features(bars, context)
    pick = np.random.default_rng(0).permutation(built.frame.height)[:18]
    rows = built.frame[np.sort(pick)]
    rows = rows.filter(rows["ret_60"].is_finite())
    wanted = reference.features(bars, context, rows["decision_time"].to_list(), built.names)
    seen = rows.select(built.names).to_numpy()
    assert np.isfinite(wanted).all(axis=1).any()
    for column, name in enumerate(built.names):
        np.testing.assert_allclose(seen[:, column], wanted[:, column], rtol=1e-9, atol=1e-9, err_msg=name)


def test_a_row_is_valid_exactly_when_no_feature_is_missing(make_bars, make_members):
    context = build_context(make_members(12_000, ["BTC", "ETH", "SOL"]), ["BTC", "ETH", "SOL"])
    built = build_features(make_bars(12_000, seed=1, broken=True), context)
    assert built.names == ALL_NAMES
    finite = np.isfinite(built.frame.select(built.names).to_numpy()).all(axis=1)
    assert (built.frame["valid"].to_numpy() == finite).all()
    assert 0 < finite.sum() < finite.size
