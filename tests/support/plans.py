"""The plan of a small night, for tests of what is done with one."""

from huracan.domain.ids import Instrument
from huracan.domain.recipe import EngineUse, Recipe
from huracan.domain.records import Candidate
from huracan.night.plan import NightPlan

HORIZONS = ("1h", "4h", "1d")


def make_plan(**changes):
    """One member and one recipe; `changes` are fields of the plan."""
    member = Candidate(
        instrument=Instrument(
            coin="BTC", symbol="BTCUSDT", base="BTC", quote="USDT", market="um", contract_type="PERPETUAL"
        ),
        volume_24h_gbp=2.5e8,
        spread_bps=None,
    )
    engine = EngineUse(name="trend", parameters=(("depth", 3.0),))
    facts = {
        "now_ms": 1_775_000_000_000,
        "cutoff_ms": 1_774_998_000_000,
        "history_days": 100,
        "min_history_days": 40,
        "interval_ms": 900_000,
        "horizons": HORIZONS,
        "recipes": (Recipe(name="linear", engines=(engine,), feature_recipe="f1"),),
        "members": (member,),
        "max_spread_bps": 8.0,
        "stale_after_minutes": 180.0,
        "quote_per_gbp": (("USDT", 1.3),),
        "leak_exempt": ("a", "b"),
        "gate": (("enable_all_by_default", 1.0), ("min_sample_size", 50.0)),
        "seed": 7,
        "code_hash": "c",
    }
    return NightPlan(**{**facts, **changes})
