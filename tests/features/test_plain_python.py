"""A whole feature frame computed without the compiler equals the compiled one."""

import numpy as np

from huracan.features import build, build_context, inputs, market, price, price_rows, windows
from huracan.regimes import classify

RANK = ["BTC", "ETH", "SOL"]


def test_features_in_plain_python_equal_the_compiled_ones(make_bars, make_members, monkeypatch):
    bars = make_bars(640, seed=11, minutes=15, broken=True)
    context = build_context(make_members(1300, RANK, 15), RANK)
    compiled = build.build_features(bars, context)
    irregular = compiled.frame["decision_time"].to_numpy() + 5 * 60_000
    compiled_later = build.build_features(bars, context, irregular)
    for module in (build, inputs, market, price, price_rows, windows, classify):
        for name, value in vars(module).copy().items():
            if hasattr(value, "py_func"):
                monkeypatch.setattr(module, name, value.py_func)
    monkeypatch.setattr(price_rows, "CHUNK", 100)  # the compiled ones do all rows in one
    with np.errstate(all="ignore"):
        plain = build.build_features(bars, context)
        plain_later = build.build_features(bars, context, irregular)
    assert compiled.frame["valid"].any()
    for one, other in ((plain, compiled), (plain_later, compiled_later)):
        seen, wanted = (frame.frame.select(frame.names).to_numpy() for frame in (one, other))
        np.testing.assert_allclose(seen, wanted, rtol=1e-10, atol=1e-12)
        assert one.frame["volume_day_quote"].equals(other.frame["volume_day_quote"], null_equal=True)
