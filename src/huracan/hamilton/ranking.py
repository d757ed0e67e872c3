"""Which champions are worth most, best first."""

from collections.abc import Collection
from dataclasses import dataclass

from huracan.domain.bundle import ChampionSet, RankRow, SetMember
from huracan.domain.coin_names import CoinNames
from huracan.domain.ids import result_key
from huracan.domain.regime_edges import regimes_from
from huracan.hamilton.blocks import BlockedCoins
from huracan.hamilton.records import RankingEntry

_Order = tuple[bool, float, float, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class HamiltonRankingTable:
    """What to rank; None takes all. Candidates stand after all champions, and only where they are allowed."""

    coins: Collection[str] | None = None
    horizons: Collection[str] | None = None
    regimes: Collection[str] | None = None
    allow_candidates: bool = False

    def entries(self, current: ChampionSet, names: CoinNames, blocked: BlockedCoins) -> list[RankingEntry]:
        """Ranking of a set, one entry a (coin, horizon): net edge first, then confidence, then names; blocked coins are
        left out.

        Sets signed before have a row for each regime; the best one that is asked for stands for them.
        """
        wanted = None if self.coins is None else {names.resolve(coin) for coin in self.coins}
        regimes = regimes_from(current.extras)
        rows: dict[str, tuple[_Order, RankRow]] = {}
        for row in current.ranking:
            key = result_key(row.coin, row.horizon)
            member = current.members.get(key)
            if member is None or not self._asked(row, wanted) or not self._is_shown(member, blocked):
                continue
            order = (
                member.status == "candidate",
                -row.net_edge_bps,
                -row.confidence,
                row.coin,
                row.horizon,
                row.regime,
            )
            if key not in rows or order < rows[key][0]:
                rows[key] = (order, row)
        return [
            RankingEntry(
                coin=row.coin,
                regime=row.regime,
                net_edge_bps=row.net_edge_bps,
                confidence=row.confidence,
                capacity_estimate=row.capacity_estimate,
                rank=rank,
                horizon=row.horizon,
                status="candidate" if order[0] else "champion",
                regimes=regimes.get(result_key(row.coin, row.horizon), {}),
            )
            for rank, (order, row) in enumerate(sorted(rows.values(), key=lambda item: item[0]), start=1)
        ]

    def _asked(self, row: RankRow, coins: Collection[str] | None) -> bool:
        """Whether coins, horizons and regimes that are wanted hold the row."""
        asked = ((coins, row.coin), (self.horizons, row.horizon), (self.regimes, row.regime))
        return all(among is None or value in among for among, value in asked)

    def _is_shown(self, member: SetMember, blocked: BlockedCoins) -> bool:
        """Whether the coin is not blocked, and no candidate where none is allowed."""
        if member.status == "candidate" and not self.allow_candidates:
            return False
        return blocked.reason(member.coin, status=member.status, allow_candidates=self.allow_candidates) is None
