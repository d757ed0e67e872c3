"""Champions of yesterday whose coin failed tonight: real verdicts, a signed store, and what stays in the set."""

import importlib.util
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import verdicts
from plans import make_plan
from records import ingested

from huracan.adapters.telemetry import RecordingTelemetry
from huracan.app.release import FolderRelease
from huracan.domain.ids import Instrument
from huracan.domain.records import Candidate, Skip, SkipCode, Universe
from huracan.night.carry_over import EXCUSES, carry_over
from huracan.night.state import Night

_SPEC = importlib.util.spec_from_file_location("bundle_factory", Path(__file__).parents[1] / "hamilton" / "factory.py")
_FACTORY = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_FACTORY)

LINEAR, BOOSTED = (verdicts.MAKE.recipe(name).id for name in ("linear", "boosted"))

made = cache(lambda name: getattr(verdicts, name)())
"""A verdict by the name of its maker, made once."""


class Clock:
    def now_ms(self):
        return _FACTORY.NOW


@pytest.fixture
def world(tmp_path):
    opened = _FACTORY.World(tmp_path)
    yield opened
    opened.store.close()


def champion(coin="BTC", horizon="1h", *, recipe=LINEAR, **evidence):
    bundle = _FACTORY.bundle(coin, horizon)
    changed = bundle.manifest.model_copy(update={"recipe_id": recipe, "evidence": evidence})
    return replace(bundle, manifest=changed)


def release(world):
    environ = {
        "HURACAN_KEYS_DIR": str(world.folder / "keys"),
        "HURACAN_TRUSTED_ROOT": str(world.trusted),
    }
    return FolderRelease(world.store, Clock(), RecordingTelemetry(), environ)


def night(code=SkipCode.STALE, coins=("BTC",), horizons=("1h",)):
    members = tuple(
        Candidate(
            instrument=Instrument(market="um", symbol=f"{coin}USDT", base=coin, quote="USDT", coin=coin),
            volume_24h_gbp=1e9,
            spread_bps=1.0,
        )
        for coin in coins
    )
    empty = Night(
        run_id="r",
        plan=make_plan(members=members, horizons=horizons),
        universe=Universe(now_ms=0, members=(), skips=()),
        pairs=coins,
        incumbents=frozenset(coins),
    )
    return empty.skipping([Skip(coin=coin, horizon="*", step=2, code=code, reason="it failed") for coin in coins])


def kept_keys(kept):
    return [(row.coin, row.horizon) for row in kept.rows]


@pytest.mark.parametrize("code", sorted(EXCUSES))
def test_a_champion_that_the_verdict_stands_behind_stays_and_its_skip_goes(world, code):
    world.publish(champion(pool="um-A"))
    kept = carry_over(release(world), night(code), made("crowned"))
    assert kept_keys(kept) == [("BTC", "1h")]
    assert kept.night.skips == ()
    (row,) = kept.rows
    assert (row.recipe_id, row.pool, row.version, row.reason) == (LINEAR, "um-A", 1, "it failed")


@pytest.mark.parametrize("code", [SkipCode.STALE, SkipCode.DEADLINE, SkipCode.JOB_FAILED, SkipCode.EXPORT_FAILED])
@pytest.mark.parametrize(
    ("outcome", "recipe", "why"),
    [
        ("demoted", LINEAR, "follows no recipe tonight.*demoted: detector at"),
        ("rolled_back", BOOSTED, f"follows recipe {LINEAR} tonight.*rolled back: behind its predecessor"),
        ("suspended", LINEAR, "drawdown breaker of um-A at 1h has tripped"),
    ],
)
def test_a_champion_that_the_verdict_deposes_is_retired_with_both_reasons(world, code, outcome, recipe, why):
    world.publish(champion(recipe=recipe, pool="um-A"))
    verdict = made(outcome)[0] if outcome == "rolled_back" else made(outcome)
    kept = carry_over(release(world), night(code), verdict)
    assert kept.rows == ()
    (skip,) = kept.night.skips
    assert skip.code is code
    assert skip.reason.startswith("it failed; yesterday's champion is retired: ")
    assert re.search(why, skip.reason)
    assert kept.served == {("BTC", "1h")}


def test_another_pool_or_horizon_of_the_same_recipe_proves_nothing(world):
    world.publish(champion(pool="um-B"), champion(horizon="4h", pool="um-A"))
    kept = carry_over(release(world), night(horizons=("1h", "4h")), made("crowned"))
    assert kept.rows == ()
    assert [skip.reason.partition("retired: ")[2][:4] for skip in kept.night.skips] == ["um-B", "um-A"]


def test_the_pool_of_a_set_signed_before_pools_were_named_is_that_of_its_lineage(world):
    crowned = made("crowned")
    world.publish(champion(lineage=crowned.state.champions[0].lineage_id), champion("ETH", lineage="unheard-of"))
    kept = carry_over(release(world), night(coins=("BTC", "ETH")), crowned)
    assert kept_keys(kept) == [("BTC", "1h")]
    (skip,) = kept.night.skips
    assert "does not know the pool" in skip.reason


@pytest.mark.parametrize(("name", "why"), [("manifest.json", "manifest"), ("model.safetensors", "files in the store")])
def test_a_champion_whose_files_do_not_verify_is_retired_and_the_others_stay(world, name, why):
    world.publish(champion(pool="um-A"), champion("ETH", pool="um-A"))
    (world.root / "models" / "BTC" / "1h" / "v1" / name).write_bytes(b"{}")
    opened = release(world)
    assert {row.coin for row in opened.current_champions()} == {"BTC", "ETH"}
    kept = carry_over(opened, night(coins=("BTC", "ETH")), made("crowned"))
    assert kept_keys(kept) == [("ETH", "1h")]
    (skip,) = kept.night.skips
    assert (skip.coin, skip.code) == ("BTC", SkipCode.STALE)
    assert why in skip.reason


def test_what_is_served_now_counts_also_where_it_came_after_the_night_had_looked(world):
    world.publish(champion(pool="um-A"), champion("ETH", pool="um-A"))
    before = replace(night(), incumbents=frozenset())
    assert carry_over(release(world), before, made("crowned")).night.incumbents == {"BTC", "ETH"}


def test_a_coin_that_failed_at_one_horizon_keeps_its_others_when_its_champion_was_of_an_earlier_listing(world):
    """The new listing has trained at 1h, so only the 4h champion of the old listing may go."""
    world.publish(champion(pool="um-A"), champion(horizon="4h", pool="um-A"))
    known = {"BTC": ingested("BTC", relisted_ms=_FACTORY.CUTOFF + 1)}
    failed = Skip(coin="BTC", horizon="4h", step=9, code=SkipCode.EXPORT_FAILED, reason="it failed")
    tonight = replace(night(horizons=("1h", "4h")), skips=(failed,), ingested=known)
    kept = carry_over(release(world), tonight, made("crowned"))
    assert kept.rows == ()
    (skip,) = kept.night.skips
    assert (skip.horizon, skip.code) == ("4h", SkipCode.EXPORT_FAILED)
    assert "earlier listing" in skip.reason
