"""A paper-trading loop on Hamilton: live bars in, decisions and a paper account out. Copy it and make it yours.

    python -m examples.bot --store huracan-work/store --paper [--exchange URL] [--candidates]

At every decision time (each whole hour) it brings bars up to date, asks Hamilton for each coin and horizon of the signed
set, and keeps one position each: entered when Hamilton says so, held until the horizon has passed, then rolled over
(free of cost) while the forecast keeps its side, else closed or turned. Coins not to trade, stale sets and missing bars
open nothing, and while a market is halted its position stays as it is. Fills are the last close; half a round trip of the model's costs is paid on each side, funding as settled.
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from examples.live_feed import Feed
from examples.paper_account import Account, Position, journal
from huracan.adapters.binance import BinanceMarketData
from huracan.domain.bundle import SetMember
from huracan.domain.frames import MarketContext
from huracan.domain.time import Horizon, iso
from huracan.errors import DataError, FeatureError, HuracanError, ModelLoadError
from huracan.hamilton import HamiltonInterface, LiveInputs, PredictionResult, market_context
from huracan.settings import load_settings

COST_OF_A_LOST_MODEL = 20e-4  # of notional, one way: what leaving a position costs when its model is gone


class ExchangeTime:
    """The exchange's clock as last read, for Hamilton: what a set and its data are worth depends on no host's clock."""

    now_ms = 0
    ahead_ms = 0

    def __call__(self) -> int:
        """Now, ms UTC."""
        return self.now_ms + self.ahead_ms


class Bot:
    """One step a decision; what it did is in the folder's journal, what it holds in its account."""

    def __init__(
        self, hamilton: HamiltonInterface, market: BinanceMarketData, folder: Path, capital: float, statuses: set[str],
        times: "ExchangeTime",
    ) -> None:  # fmt: skip
        self.hamilton, self.market, self.folder, self.statuses = hamilton, market, folder, statuses
        self.times = times
        self.inputs: LiveInputs = hamilton.live_inputs()
        self.feed = Feed(market, self.inputs.interval_ms)
        folder.mkdir(parents=True, exist_ok=True)
        self.account = Account.load(folder, capital)

    async def step(self) -> int | None:
        """Decide once for the newest decision time; None where that was done before."""
        now = self.times.now_ms = await self.market.server_time()
        self.inputs = self.hamilton.live_inputs()  # a new set may have come overnight
        at = now // self.inputs.decision_ms * self.inputs.decision_ms
        if at <= self.account.last_decision_ms:
            return None
        members = [member for member in self.hamilton.get_members() if member.status in self.statuses]
        cells = {f"{member.coin}_{member.horizon}": member for member in members}
        held = self.account.positions
        names = {key: position.instrument for key, position in held.items()}
        names |= {key: member.instrument for key, member in cells.items() if key not in held}
        await self.feed.update([*names.values(), *self.inputs.context.values()], at)
        market = market_context({c: self.feed.bars[name] for c, name in self.inputs.context.items()}, self.inputs, at)
        unit = self.account.capital / max(1, len(cells))
        self.account.begin(at)
        wanted = {}
        for key in names:
            self._mark(key, unit)
            forecast = self._forecast(cells[key], market, at) if key in cells else None
            wanted[key] = self._wanted(key, forecast, unit, at)
        for key, fraction in self._within_caps(wanted, cells).items():
            self._trade(key, names[key], fraction, unit, at)
        self.account.end(self.folder, at)
        equity = self.account.capital + self.account.pnl
        print(f"{iso(at)}  {len(held)} positions, equity {equity:,.2f}, costs {self.account.costs:,.2f}", flush=True)
        return at

    def _forecast(self, member: SetMember, market: MarketContext, at: int) -> PredictionResult | None:
        """Hamilton's answer, None where there is none now: bars too old or too few, or the model is gone."""
        bars, funding = self.feed.bars[member.instrument], self.feed.funding[member.instrument]
        try:
            return self.hamilton.predict_bars(member.coin, member.horizon, bars, market, at, funding=funding)
        except (FeatureError, ModelLoadError) as error:
            journal(self.folder, at, f"{member.coin}_{member.horizon}", "silent", reason=str(error))
            return None

    def _wanted(self, key: str, forecast: PredictionResult | None, unit: float, at: int) -> float:
        """The signed fraction to hold from now on: f(forecast, position)."""
        held = self.account.positions.get(key)
        if forecast and "HALTED" in forecast.blocked_codes:
            journal(self.folder, at, key, "halted", reason=forecast.blocked_reason)
            return held.fraction if held else 0.0
        stopped = self.account.day_pnl.get(key, 0.0) <= -self.inputs.daily_loss_stop * unit
        fit = forecast is not None and forecast.entries_open
        entry = forecast.position_fraction if forecast and fit and not forecast.stale and not stopped else 0.0
        if held is None:
            return entry
        if stopped:
            return 0.0
        if at < held.until_ms:
            return held.fraction
        if forecast and fit and forecast.edge_bps * held.fraction > 0:
            held.until_ms = at + _horizon_ms(key)
            journal(self.folder, at, key, "roll", fraction=held.fraction, edge_bps=forecast.edge_bps)
            return held.fraction
        return entry if entry * held.fraction < 0 else 0.0

    def _within_caps(self, wanted: dict[str, float], cells: dict[str, SetMember]) -> dict[str, float]:
        """New positions scaled into the room that the net and gross caps of each horizon leave beside those held."""
        allowed = dict(wanted)
        for horizon in {member.horizon for member in cells.values()}:
            members = [member for member in cells.values() if member.horizon == horizon]
            largest = sum(self.hamilton.load_model(m.coin, horizon)[0].decision.largest_position for m in members)
            mine = {key: fraction for key, fraction in wanted.items() if key.endswith(f"_{horizon}") and fraction}
            kept = [fraction for key, fraction in mine.items() if fraction == self.account.fraction(key)]
            new = {key: fraction for key, fraction in mine.items() if fraction != self.account.fraction(key)}
            gross, net = sum(map(abs, new.values())), sum(new.values())
            side = 1.0 if net > 0 else -1.0
            room = max(0.0, self.inputs.gross_cap_share * largest - sum(map(abs, kept)))
            net_room = max(0.0, self.inputs.net_cap_share * largest - side * sum(kept))
            scale = min(1.0, room / gross if gross else 1.0, net_room / abs(net) if net else 1.0)
            allowed |= {key: fraction * scale for key, fraction in new.items()}
        return allowed

    def _mark(self, key: str, unit: float) -> None:
        held = self.account.positions.get(key)
        price = self.feed.price(held.instrument) if held else None
        if held and price is not None:
            self.account.mark(key, price, self.feed.funding_after(held.instrument, held.funded_ms), unit)

    def _trade(self, key: str, name: str, fraction: float, unit: float, at: int) -> None:
        """Move to a new fraction at the last close, and pay half a round trip for what that trades."""
        before, held, price = self.account.fraction(key), self.account.positions.get(key), self.feed.price(name)
        price = price if price is not None or held is None else held.mark
        if fraction == before or price is None:
            return
        try:
            coin, _, horizon = key.rpartition("_")
            rate = self.hamilton.load_model(coin, horizon)[0].decision.cost_bps / 2e4
        except ModelLoadError:
            rate = COST_OF_A_LOST_MODEL
        cost = self.account.trade(key, Position(name, fraction, price, price, at, at + _horizon_ms(key)), unit, rate)
        action = "enter" if not before else "turn" if fraction else "close"
        journal(self.folder, at, key, action, fraction=fraction, price=price, cost=cost)


def _horizon_ms(key: str) -> int:
    return Horizon.parse(key.rpartition("_")[2]).ms


def open_bot(store: str, exchange: str | None, folder: Path, capital: float, *, candidates: bool) -> Bot:
    """A bot on a store and an exchange; URLs come from the settings where `exchange` names none."""
    urls = [f"binance.{name}_url={exchange}" for name in ("rest", "futures", "archive")] if exchange else []
    settings = load_settings(None, urls, os.environ)
    times = ExchangeTime()
    hamilton = HamiltonInterface(store, allow_candidates=candidates, now_ms=times)
    interval = str(Horizon(hamilton.live_inputs().interval_ms // 60_000))
    market = BinanceMarketData(settings.binance, settings.costs.quote_per_gbp, interval=interval)
    return Bot(hamilton, market, folder, capital, {"champion", "candidate"} if candidates else {"champion"}, times)


async def run(bot: Bot, steps: int | None, poll_s: float) -> None:
    """Step whenever a decision is due; an exchange that does not answer is asked again."""
    done = 0
    try:
        while steps is None or done < steps:
            try:
                done += await bot.step() is not None
            except DataError as error:
                print(f"{error.code}: {error}", file=sys.stderr, flush=True)
            if steps is None or done < steps:
                await asyncio.sleep(poll_s)
    finally:
        await bot.market.aclose()


def main() -> int:
    """Read the command line and trade on paper until interrupted."""
    parser = argparse.ArgumentParser(description="Trade a store's champions on paper.")
    parser.add_argument("--store", required=True, help="the store's root, with models/ and metadata/")
    parser.add_argument("--exchange", help="one URL for spot, futures and archive; default: the settings")
    parser.add_argument("--paper", action="store_true", required=True, help="there is no other way: it sends no orders")
    parser.add_argument("--candidates", action="store_true", help="also what is not proven yet")
    parser.add_argument("--folder", type=Path, default=Path("paper"), help="account.json and journal.jsonl")
    parser.add_argument("--capital", type=float, default=10_000.0, help="in quote currency, split equally")
    parser.add_argument("--steps", type=int, help="end after this many decisions")
    parser.add_argument("--poll", type=float, default=20.0, help="seconds between two looks at the clock")
    given = parser.parse_args()
    try:
        bot = open_bot(given.store, given.exchange, given.folder, given.capital, candidates=given.candidates)
        asyncio.run(run(bot, given.steps, given.poll))
    except KeyboardInterrupt:
        return 0
    except HuracanError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
