"""A paper-trading loop on Hamilton: live bars in, decisions and a paper account out. Copy it and make it yours.

    python -m examples.bot --store huracan-work/store --paper [--exchange URL] [--candidates]

At every decision time (each whole hour) it brings bars up to date, asks Hamilton for each coin and horizon of the
signed set, and keeps one position each: entered when Hamilton says so, held until the horizon has passed, then rolled
over (free of cost) while the forecast keeps its side, else closed or turned. Coins not to trade, stale sets and missing
bars open nothing, and while a market is halted its position stays as it is. Fills are the last close; half a round trip
of the model's costs is paid on each side, funding as settled. The journal has a line for every cell and decision, with
its `code` and `reason`, also where nothing is entered.
"""

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

import stamina.instrumentation

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
COMPLAIN_EVERY_S = 60.0
UNMOVED = {"HALTED": "halted", "SAME_SIDE": "roll", "SILENT": "silent"}
"""Actions of a decision that trades nothing; all others are a `hold` of what is held, or a `pass`."""


class ExchangeTime:
    """The exchange's clock as last read, for Hamilton: what a set and its data are worth depends on no host's clock."""

    now_ms = 0
    ahead_ms = 0

    def __call__(self) -> int:
        """Now, ms UTC."""
        return self.now_ms + self.ahead_ms


class Choice(NamedTuple):
    """The signed fraction to hold from now on, and why."""

    fraction: float
    code: str
    reason: str


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
        (folder / "journal.jsonl").touch()
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
        choices = {}
        for key in names:
            self._mark(key, unit)
            forecast = (
                self._forecast(cells[key], market, at) if key in cells else "the set has no model for it any more"
            )
            choices[key] = self._wanted(key, forecast, unit, at)
        allowed = self._within_caps({key: choice.fraction for key, choice in choices.items()}, cells)
        for key, fraction in allowed.items():
            self._trade(key, names[key], fraction, choices[key], unit, at)
        self.account.end(self.folder, at)
        equity = self.account.capital + self.account.pnl
        print(f"{iso(at)}  {len(held)} positions, equity {equity:,.2f}, costs {self.account.costs:,.2f}", flush=True)
        return at

    def _forecast(self, member: SetMember, market: MarketContext, at: int) -> PredictionResult | str:
        """Hamilton's answer, or why there is none now: bars too old or too few, or the model is gone."""
        bars, funding = self.feed.bars[member.instrument], self.feed.funding[member.instrument]
        try:
            return self.hamilton.predict_bars(member.coin, member.horizon, bars, market, at, funding=funding)
        except (FeatureError, ModelLoadError) as error:
            return str(error)

    def _wanted(self, key: str, forecast: PredictionResult | str, unit: float, at: int) -> Choice:
        """The fraction to hold from now on: f(forecast, position)."""
        held = self.account.positions.get(key)
        now = held.fraction if held else 0.0
        said = None if isinstance(forecast, str) else forecast
        if said and "HALTED" in said.blocked_codes:
            return Choice(now, "HALTED", said.blocked_reason or "")
        if self.account.day_pnl.get(key, 0.0) <= -self.inputs.daily_loss_stop * unit:
            return Choice(0.0, "DAY_LOSS", "it lost too much today; nothing until the next UTC day")
        entry = _entry(forecast)
        if held is None:
            return entry
        if at < held.until_ms:
            return Choice(now, "BEFORE_HORIZON", f"held until {iso(held.until_ms)}")
        if said and said.entries_open and said.edge_bps * now > 0:
            held.until_ms = at + _horizon_ms(key)
            return Choice(now, "SAME_SIDE", f"the forecast keeps its side, edge {said.edge_bps:+.1f} bps")
        if entry.fraction * now < 0:
            return entry
        return Choice(0.0, "HORIZON_OVER", f"its horizon has passed: {entry.reason}")

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

    def _trade(self, key: str, name: str, fraction: float, choice: Choice, unit: float, at: int) -> None:
        """Move to a new fraction at the last close, and pay half a round trip for what that trades; the journal says
        why.
        """
        before, held, price = self.account.fraction(key), self.account.positions.get(key), self.feed.price(name)
        price = price if price is not None or held is None else held.mark
        code, reason = choice.code, choice.reason
        if fraction == before or price is None:
            if choice.fraction != before:
                code, reason = "CAPPED", "the caps of its horizon leave no room beside what is held"
                if price is None:
                    code, reason = "NO_PRICE", f"there is no price of {name}"
            action = UNMOVED.get(code, "hold" if before else "pass")
            journal(self.folder, at, key, action, fraction=before, code=code, reason=reason)
            return
        try:
            coin, _, horizon = key.rpartition("_")
            rate = self.hamilton.load_model(coin, horizon)[0].decision.cost_bps / 2e4
        except ModelLoadError:
            rate = COST_OF_A_LOST_MODEL
        cost = self.account.trade(key, Position(name, fraction, price, price, at, at + _horizon_ms(key)), unit, rate)
        action = "enter" if not before else "turn" if fraction else "close"
        journal(self.folder, at, key, action, fraction=fraction, price=price, cost=cost, code=code, reason=reason)


def _entry(forecast: PredictionResult | str) -> Choice:
    """What a cell without a position would enter."""
    if isinstance(forecast, str):
        return Choice(0.0, "SILENT", forecast)
    if not forecast.entries_open:
        return Choice(0.0, forecast.blocked_codes[0], forecast.blocked_reason or "")
    if forecast.stale:
        return Choice(0.0, "STALE", "the set was signed more than 26 hours ago")
    words = f"{forecast.net_edge_bps:+.1f} bps after costs, score {forecast.score:+.2f}"
    if not forecast.position_fraction:
        return Choice(0.0, "NO_ENTRY", f"no entry pays: {words}")
    return Choice(forecast.position_fraction, "ENTRY", f"{forecast.direction}: {words}")


def _horizon_ms(key: str) -> int:
    return Horizon.parse(key.rpartition("_")[2]).ms


def open_bot(store: str, exchange: str | None, folder: Path, capital: float, *, candidates: bool) -> Bot:
    """A bot on a store and an exchange; URLs come from the settings where `exchange` names none."""
    urls = [f"binance.{name}_url={exchange}" for name in ("rest", "futures", "archive")] if exchange else []
    settings = load_settings(None, urls, os.environ)
    if not (Path(store) / "metadata").is_dir():
        raise ModelLoadError(
            f"there is no store at {store}: wanted a folder with models/ and metadata/, such as huracan-work/store. "
            "A night makes one in its workdir: huracan run --workdir huracan-work"
        )
    times = ExchangeTime()
    hamilton = HamiltonInterface(store, allow_candidates=candidates, now_ms=times)
    interval = str(Horizon(hamilton.live_inputs().interval_ms // 60_000))
    market = BinanceMarketData(settings.binance, settings.costs.quote_per_gbp, interval=interval)
    return Bot(hamilton, market, folder, capital, {"champion", "candidate"} if candidates else {"champion"}, times)


async def run(bot: Bot, steps: int | None, poll_s: float) -> None:
    """Step whenever a decision is due; an exchange that does not answer is asked again, and named once a minute."""
    done, told = 0, -COMPLAIN_EVERY_S
    try:
        while steps is None or done < steps:
            try:
                done += await bot.step() is not None
            except DataError as error:
                if time.monotonic() - told >= COMPLAIN_EVERY_S:
                    told = time.monotonic()
                    print(_complaint(error, poll_s), file=sys.stderr, flush=True)
            if steps is None or done < steps:
                await asyncio.sleep(poll_s)
    finally:
        await bot.market.aclose()


def _complaint(error: DataError, poll_s: float) -> str:
    return (
        f"{error.code}: no decision was possible: {error}\n"
        f"  It goes on trying, {poll_s:g} s after each try, and keeps its account; Ctrl-C ends it.\n"
        "  Check the network and HTTPS_PROXY of this host, and the URLs: huracan doctor names what does not answer."
    )


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
    stamina.instrumentation.set_on_retry_hooks(())  # what came of the retries is said once a minute
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
