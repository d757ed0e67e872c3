"""The catalogue lists every feature, and each printed formula, evaluated as it stands, gives the feature."""

import re

import numpy as np
import pytest

from huracan.domain.time import DAY_MS, MINUTE_MS
from huracan.features import ALL_NAMES, build_context, build_features
from huracan.features.formulas import FORMULAS, MOMENTS, NOTATION, catalogue, stem, windows

LISTED = {entry.name: entry for entry in catalogue()}


def notation(reference, past):
    """The words of a formula as values and functions of what is known at a decision."""
    real, step = past.real, past.w(15)
    root = np.where(real, np.sqrt(past.quote), np.nan)
    known = lambda x: x[~np.isnan(x)]  # noqa: E731
    last = lambda x, w: known(np.asarray(x)[-past.w(w) :])  # noqa: E731
    ewma = lambda x, h: reference.decayed(x, reference.half_life(h, past.minutes))  # noqa: E731
    wilder = lambda w, sign: reference.decayed(np.maximum(sign * past.r, 0), 1 - 1 / past.w(w))  # noqa: E731
    moves = past.steps(past.prices), past.steps(past.market)
    settled = reference.funding(past)
    return {
        **{
            name: getattr(np, name) for name in ("log", "sqrt", "abs", "sign", "sum", "mean", "var", "sin", "cos", "pi")
        },
        "max": max,
        "clip": lambda x, c: np.clip(x, -c, c),
        "n": past.w,
        "last": last,
        "r": past.r,
        "fall": np.minimum(past.r, 0),
        "net": past.net,
        "close": past.close[-1],
        "level": np.log(past.close),
        "high": lambda w: past.tail(past.top, w).max(),
        "low": lambda w: past.tail(past.bottom, w).min(),
        "span": np.where(real, np.log(past.top / past.bottom), 0.0),
        "ewma": ewma,
        "sigma": past.sigma,
        "ema": lambda w: reference.ema(past, w) + np.log(past.prices[0]),
        "gain": lambda w: wilder(w, 1),
        "loss": lambda w: wilder(w, -1),
        "quote": np.where(real, past.quote, 0.0),
        "root": root,
        "impact": lambda w: np.log(np.mean(np.abs(last(past.r, w))) + 1e-6) - np.log(np.mean(last(root, w) ** 2)),
        "moment": lambda x, k: np.mean((x - np.mean(x)) ** k) / np.var(x) ** (k / 2),
        "step": moves[0],
        "market_step": moves[1],
        "market": lambda w: past.net(w, past.market),
        "market_sigma": np.sqrt(ewma(moves[1] ** 2, 1440) / step),
        "beta": ewma(moves[0] * moves[1], 1440) / ewma(moves[1] ** 2, 1440),
        "coin_spread": past.dispersion,
        "taken": past.taken,
        "volume": past.volume,
        "rate": settled["rate"].to_numpy(),
        "hours": settled["interval_hours"].fill_null(8.0).to_numpy(),
        "minute_of_day": past.time % DAY_MS / MINUTE_MS,
        "minute_of_week": past.time % (7 * DAY_MS) / MINUTE_MS,
    }


def value_of(name, words):
    given = dict(zip("ab" if len(windows(name)) == 2 else "w", windows(name), strict=False))
    return eval(LISTED[name].formula, {"__builtins__": {}, **words, **given})


@pytest.mark.slow
@pytest.mark.parametrize(("minutes", "n"), [(1, 9_000), (15, 700)])
def test_every_printed_formula_gives_its_feature(make_bars, make_members, reference, minutes, n):
    bars = make_bars(n, seed=5, minutes=minutes)
    coins = ["BTC", "ETH", "SOL", "XRP"]
    context = build_context(make_members(n, coins, minutes), coins)
    built = build_features(bars, context)
    rows = built.frame.filter(built.frame["valid"])[[0, 7, -1]]
    assert rows.height == 3
    for row in rows.iter_rows(named=True):
        words = notation(reference, reference.Past(bars, context, row["decision_time"]))
        for name in built.names:
            if name != "regime":
                np.testing.assert_allclose(value_of(name, words), row[name], rtol=1e-7, atol=1e-8, err_msg=name)


def test_the_catalogue_lists_the_features_of_the_recipe_in_their_order():
    assert tuple(LISTED) == ALL_NAMES
    assert {stem(name) for name in ALL_NAMES} == set(FORMULAS)
    assert {entry.known for entry in LISTED.values()} == set(MOMENTS)
    assert all(entry.unit and entry.meaning for entry in LISTED.values())
    assert [name for name, entry in LISTED.items() if not entry.formula] == ["regime"]


def test_every_word_of_a_formula_is_explained():
    explained = {word.split("(")[0].strip() for words in NOTATION for word in words.replace("(w)", "").split(",")}
    plain = {"log", "sqrt", "abs", "sign", "sum", "mean", "var", "sin", "cos", "pi", "max"}
    for entry in LISTED.values():
        words = set(re.findall(r"\b[a-z_]\w*", re.sub(r"\d+e-?\d+", "", entry.formula)))
        assert words - explained - plain == set(), entry.name
