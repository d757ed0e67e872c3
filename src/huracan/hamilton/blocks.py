"""Coins not to trade: those the training lists with reasons, and those blocked by hand, which outlive restarts."""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from huracan.domain.bundle import DoNotTrade, Status
from huracan.domain.coin_names import CoinNames
from huracan.errors import ModelLoadError
from huracan.hamilton.state import StoreState

NOT_PROVEN: Final = "NOT_PROVEN"

_LOOK_AGAIN_S = 1.0


class HamiltonDoNotTradeList:
    """Blocks set by hand, kept in the user's state folder; what another process blocks is seen within a second."""

    def __init__(self, state: StoreState, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._state = state
        self._monotonic = monotonic
        self._token: object = state
        self._look_at = 0.0
        self._blocks: Mapping[str, str] = MappingProxyType({})

    def by_hand(self) -> Mapping[str, str]:
        """Name as given -> reason. The same object until something changes."""
        now = self._monotonic()
        if now >= self._look_at or self._token is self._state:
            token = self._state.blocks_token()
            if token != self._token:
                self._blocks, self._token = MappingProxyType(self._state.blocks()), token
            self._look_at = now + _LOOK_AGAIN_S
        return self._blocks

    def add(self, coin: str, reason: str) -> None:
        """Block a coin by hand."""
        if not coin.strip() or not reason.strip():
            raise ModelLoadError(f"a block needs a coin and a reason, got {coin!r} and {reason!r}")
        self._state.change_blocks({coin: reason}, set())
        self._look_at = 0.0

    def remove(self, coin: str, names: CoinNames) -> None:
        """Lift blocks set by hand under any name of the coin; those of the training stay."""
        wanted = names.resolve(coin)
        self._state.change_blocks({}, {name for name in self._state.blocks() if names.resolve(name) == wanted})
        self._look_at = 0.0


class BlockedCoins:
    """Both lists, resolved against one set's names."""

    def __init__(self, by_hand: Mapping[str, str], listed: list[DoNotTrade], names: CoinNames) -> None:
        self._by_hand = {names.resolve(name): f"OWNER: {reason}" for name, reason in by_hand.items()}
        self._listed: dict[str, DoNotTrade] = {}
        for block in listed:
            # A coin may stand there for several reasons; one that is not about proof is never hidden by one that is.
            if block.coin not in self._listed or self._listed[block.coin].code == NOT_PROVEN:
                self._listed[block.coin] = block

    def reason(self, coin: str, *, status: Status | None = None, allow_candidates: bool = False) -> str | None:
        """Why a canonical coin is blocked, or None.

        A coin listed only for lack of proof does not block its own candidate where candidates are allowed.
        """
        if coin in self._by_hand:
            return self._by_hand[coin]
        block = self._listed.get(coin)
        if block is None or (block.code == NOT_PROVEN and allow_candidates and status == "candidate"):
            return None
        return f"{block.code}: {block.reason}"

    def coins(self) -> list[str]:
        """All blocked coins, sorted."""
        return sorted({*self._by_hand, *self._listed})
