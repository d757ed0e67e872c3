"""Which champions are worth most, best first."""

from collections.abc import Collection
from dataclasses import dataclass

from huracan.domain.bundle import ChampionSet
from huracan.domain.coin_names import CoinNames
from huracan.domain.ids import result_key
from huracan.hamilton.blocks import BlockedCoins
from huracan.hamilton.records import RankingEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class HamiltonRankingTable:
    """What to rank; None takes all. Candidates stand after all champions, and only where they are allowed."""

    coins: Collection[str] | None = None
    horizons: Collection[str] | None = None
    regimes: Collection[str] | None = None
    allow_candidates: bool = False

    def entries(self, current: ChampionSet, names: CoinNames, blocked: BlockedCoins) -> list[RankingEntry]:
        """Ranking of a set: net edge first, then confidence, then names; blocked coins are left out."""
        wanted = None if self.coins is None else {names.resolve(coin) for coin in self.coins}
        rows = []
        for row in current.ranking:
            member = current.members.get(result_key(row.coin, row.horizon))
            if member is None or (member.status == "candidate" and not self.allow_candidates):
                continue
            if (
                (wanted is not None and row.coin not in wanted)
                or (self.horizons is not None and row.horizon not in self.horizons)
                or (self.regimes is not None and row.regime not in self.regimes)
                or blocked.reason(row.coin, status=member.status, allow_candidates=self.allow_candidates)
            ):
                continue
            order = (member.status, -row.net_edge_bps, -row.confidence, row.coin, row.horizon, row.regime)
            # "candidate" sorts before "champion", hence the comparison.
            rows.append(((member.status == "candidate", *order[1:]), row, member.status))
        return [
            RankingEntry(
                coin=row.coin,
                regime=row.regime,
                net_edge_bps=row.net_edge_bps,
                confidence=row.confidence,
                capacity_estimate=row.capacity_estimate,
                rank=rank,
                horizon=row.horizon,
                status=status,
            )
            for rank, (_, row, status) in enumerate(sorted(rows, key=lambda item: item[0]), start=1)
        ]
