"""How many former pairs step 1 finds in recorded listings: what a first night has to read beside its members.

Run: ``python benchmarks/former_pairs.py``; needs ../shared/market. USD-M is listed as recorded in July 2026, and all of
it taken as liquid. Spot is every pair with a book then: one without a bid is taken as delisted, and volumes are those
recorded in March 2024 (100,000 where a pair had none), for no full spot listing with volumes was recorded.
"""

import gzip
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from huracan.adapters.binance.listing import instruments, quotes
from huracan.adapters.binance.strict_json import parse_json
from huracan.domain.ids import Instrument
from huracan.domain.records import Snapshot
from huracan.universe import UniverseConfig, build_universe

FIXTURES = Path(__file__).parents[2] / "shared" / "market" / "fixtures"
NOW_MS = 1_783_000_000_000  # 2 July 2026
CONFIGS = {"default": UniverseConfig(), "1 M GBP, 30 bps": UniverseConfig(min_liquidity_gbp=1e6, max_spread_bps=30.0)}


def load(name: str) -> Any:
    data = (FIXTURES / name).read_bytes()
    return parse_json(gzip.decompress(data) if name.endswith(".gz") else data, name)


def spot_pair(row: dict[str, Any], quote: str) -> Instrument:
    symbol, status = row["symbol"], "TRADING" if float(row["bidPrice"]) > 0 else "BREAK"
    return Instrument(market="spot", symbol=symbol, base=symbol.removesuffix(quote), quote=quote, status=status)


def recorded() -> Snapshot:
    um, books = (
        instruments(load("rest-2026-07/fapi-v1-exchangeInfo.json"), "um"),
        {
            "um": load("rest-2026-07/fapi-v1-ticker-bookTicker-full.json"),
            "spot": load("rest-2026-07/api-v3-ticker-bookTicker-full.json"),
        },
    )
    assets = UniverseConfig().quote_assets
    named = [(row, next((q for q in assets if row["symbol"].endswith(q)), "")) for row in books["spot"]]
    spot = [spot_pair(row, quote) for row, quote in named if quote and row["symbol"] != quote]
    volumes = {row["symbol"]: row["quoteVolume"] for row in load("rest-2024/api-v3-ticker-24hr-full-20240310.json.gz")}
    um_day = [{"symbol": one.symbol, "quoteVolume": 1e9} for one in um]
    spot_day = [{"symbol": one.symbol, "quoteVolume": volumes.get(one.symbol, 1e5)} for one in spot]
    return Snapshot(
        now_ms=NOW_MS,
        instruments=(*um, *spot),
        quotes={**quotes(um, um_day, books["um"], "um"), **quotes(spot, spot_day, books["spot"], "spot")},
        quote_per_gbp=dict.fromkeys(assets, 1.3),
        gbp_source="assumed",
    )


def main() -> int:
    if not FIXTURES.is_dir():
        print(f"no recorded listings at {FIXTURES}")
        return 0
    snapshot = recorded()
    for name, config in CONFIGS.items():
        found = build_universe(snapshot, config, ["1h"])
        kinds = Counter(f"{one.instrument.market} {one.instrument.status}" for one in found.former)
        print(f"{name}: {len(found.members)} members, {len(found.former)} former pairs {dict(sorted(kinds.items()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
