"""The trading process's door: champions in, decisions out."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from huracan.domain.bundle import ChampionSet, Manifest, SetMember
from huracan.domain.coin_names import CoinNames
from huracan.domain.model import ChampionModel
from huracan.domain.proof import why_no_champion
from huracan.domain.time import Horizon, iso
from huracan.errors import ConfigError, ModelLoadError
from huracan.hamilton.blocks import BlockedCoins, HamiltonDoNotTradeList
from huracan.hamilton.clock import SeenClock
from huracan.hamilton.live import LiveInputs, instrument_of, live_row, market_context, observed_bars
from huracan.hamilton.loader import HamiltonModelLoader, ServedSet
from huracan.hamilton.ranking import HamiltonRankingTable
from huracan.hamilton.records import ModelMetadata, PredictionResult, RankingEntry
from huracan.hamilton.source import FolderSource
from huracan.hamilton.state import StoreState, state_home
from huracan.hamilton.verify import Champion

if TYPE_CHECKING:
    import polars as pl

    from huracan.domain.frames import MarketContext
    from huracan.ports import BundleSource

STALE_MS: Final = 26 * 3_600_000
EXPIRED: Final = "STALE: the signed set has expired; no new entries until the next publication"

_EXAMPLES: Final = {"coin": "BTC", "horizon": "1h", "reason": "by hand"}
_LOOK_AGAIN_NS = 1_000_000  # a burst of predictions looks at the pointer once; no publication is that quick


def wall_clock_ms() -> int:
    """Now, ms UTC."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Served:
    """Everything one call may look at: one set, one block list. Swapped as a whole."""

    champions: ServedSet
    by_hand: Mapping[str, str]
    blocked: BlockedCoins
    stale_after_ms: int
    closed_after_ms: int
    ready: dict[tuple[str, str, int | None], tuple[Champion, str | None]] = field(default_factory=dict, repr=False)


def _expired(view: _Served, champion: Champion, now: int) -> str | None:
    if now > view.closed_after_ms:
        return EXPIRED
    if now > champion.valid_until:
        return f"STALE: the model's data were good until {iso(champion.valid_until)}; no new entries until it is trained anew"
    return None


def _reasons(*reasons: str | None) -> tuple[str, ...]:
    return tuple(reason for reason in reasons if reason is not None)


class HamiltonInterface:
    """Predictions of the current champions, and of nothing that does not verify.

    `model_base_path` is the store's root (it holds models/ and metadata/); a missing store is no error before the
    first load. `source` reads from elsewhere. `trusted_root` names the root file, else HURACAN_TRUSTED_ROOT, else the
    user's trust folder. Safe to share between threads; a new set is picked up by the next call.
    """

    def __init__(
        self,
        model_base_path: str | Path = "/models",
        ranking_coins: Collection[str] | None = None,
        ranking_horizons: Collection[str] | None = None,
        ranking_regimes: Collection[str] | None = None,
        allow_candidates: bool = False,
        trusted_root: str | Path | None = None,
        source: "BundleSource | None" = None,
        *,
        state_dir: str | Path | None = None,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        folder = FolderSource(model_base_path) if source is None else None
        identity = str(getattr(source, "identity", model_base_path)) if folder is None else folder.identity
        state = StoreState(
            Path(state_dir) if state_dir is not None else state_home(), identity, folder.name if folder else identity
        )
        reader: BundleSource = folder if source is None and folder is not None else source  # type: ignore[assignment]
        self._store = folder.root if folder is not None else None
        self._allow_candidates = allow_candidates
        self._clock = SeenClock(state, now_ms)
        self._loader = HamiltonModelLoader(reader, state, trusted_root=trusted_root, store=self._store)
        self._blocks = HamiltonDoNotTradeList(state)
        self._ranking = HamiltonRankingTable(
            coins=ranking_coins,
            horizons=ranking_horizons,
            regimes=ranking_regimes,
            allow_candidates=allow_candidates,
        )
        self._view: _Served | None = None
        self._fresh_until_ns = 0

    @property
    def problem(self) -> ModelLoadError | None:
        """Why the newest set is not served (the last good one is), or None."""
        return self._loader.problem

    def load_model(self, coin: str, horizon: str, version: int | None = None) -> tuple[ChampionModel, ModelMetadata]:
        """The arrays and metadata of a champion; raises ModelLoadError saying what is missing or wrong."""
        champion, _ = self._ready(self._serve(), coin, horizon, version)
        return champion.model, champion.metadata

    def predict(
        self, coin: str, horizon: str, features: Mapping[str, object], version: int | None = None
    ) -> PredictionResult:
        """The decision for one row of features, whose names must be exactly the model's.

        Raises FeatureError (missing, unknown, not finite, unseen regime) and ModelLoadError (no champion, or one that
        does not verify). "hold" and the reason for a blocked coin, after the metadata or the data expired, and while
        this host's clock is more than five minutes behind a time seen before. Whether the market is halted only
        `predict_bars` sees.
        """
        return self._decision(coin, horizon, version, features, None)

    def live_inputs(self) -> LiveInputs:
        """What the current set says of live features, decision times and caps; raises ModelLoadError where it does
        not.
        """
        return LiveInputs.from_extras(self._serve().champions.tree.current.extras)

    def predict_bars(
        self,
        coin: str,
        horizon: str,
        bars: "pl.DataFrame",
        context_bars: "Mapping[str, pl.DataFrame] | MarketContext",
        decision_ms: int,
        *,
        funding: "pl.DataFrame | None" = None,
        version: int | None = None,
    ) -> PredictionResult:
        """The decision at a moment from raw bars (BAR_SCHEMA) of the coin's own instrument and of the market.

        Everything is computed by the code of training, from rows that open before `decision_ms`; 40 days of bars are
        enough. `context_bars` has those of every coin of `live_inputs().context`, or is what `market_context` made
        of them, which serves all coins of one moment. `funding` (FUNDING_SCHEMA) is wanted for perpetuals.

        Where nobody has traded the coin for ten minutes (one bar, where bars are longer) the answer is "hold" and
        HALTED, whether the exchange sends flat bars or none: the training fills nothing there either. Raises
        FeatureError where a feature is not known then, as after a day without any bar, ForkedProcessError in a process
        forked from one where polars had been at work, MissingExtraError where the extra ``hamilton`` is not installed,
        and what `predict` raises.
        """
        champion, _ = self._ready(self._serve(), coin, horizon, version)
        inputs, manifest = self.live_inputs(), champion.manifest
        context = (
            market_context(context_bars, inputs, decision_ms) if isinstance(context_bars, Mapping) else context_bars
        )
        clean, halted = observed_bars(
            instrument_of(manifest.instrument), bars, funding, inputs.interval_ms, decision_ms
        )
        features = live_row(clean, context, champion.compiled.feature_names, manifest.features_hash, decision_ms)
        return self._decision(coin, horizon, version, features, halted)

    def current_set(self) -> ChampionSet:
        """The signed set that is served: its number, run, cut-off, members, ranking and coins not to trade."""
        return self._serve().champions.tree.current

    def manifest(self, coin: str, horizon: str, version: int | None = None) -> Manifest:
        """The verified manifest of a champion: instrument, window, metrics, evidence and files; ModelLoadError as
        `load_model`.
        """
        return self._ready(self._serve(), coin, horizon, version)[0].manifest

    def report(self, coin: str, horizon: str, name: str, version: int | None = None) -> Any:
        """A JSON file of a champion's bundle, such as cost_report.json, checked by its signed hash; ModelLoadError as
        `load_model`.
        """
        return self._loader.report(self._ready(self._serve(), coin, horizon, version)[0], name)

    def get_members(self) -> list[SetMember]:
        """Every champion and candidate of the current set: coin, horizon, version, status, instrument."""
        return list(self._serve().champions.tree.current.members.values())

    def get_ranking_table(self) -> list[RankingEntry]:
        """The current set, best first, one entry a (coin, horizon); empty where nothing was published yet.

        Candidates stand after all champions, where they are allowed. Blocked coins are left out, and so is what the
        regime gate had closed at the data cut-off. `net_edge_bps` is the mean per trip in the regime of the data
        cut-off, where the model was measured in it. `huracan champions list` and `ModelMetadata.net_edge_bps` give the
        mean over all regimes. Neither is a forecast: that is `predict`.
        """
        if not self._loader.published():
            return []
        view = self._serve()
        return self._ranking.entries(view.champions.tree.current, view.champions.names, view.blocked)

    def get_do_not_trade_list(self) -> list[str]:
        """Coins not to trade, sorted: the training's list and those blocked by hand."""
        return self._blocked().coins()

    def is_coin_blocked(self, coin: str) -> bool:
        """Whether a coin stands on either list."""
        return self.blocked_reason(coin) is not None

    def blocked_reason(self, coin: str) -> str | None:
        """Why a coin is blocked, or None."""
        return self._blocked().reason(self._names().resolve(_text("coin", coin)))

    def add_blocked_coin(self, coin: str, reason: str) -> None:
        """Block a coin by hand, for this store and this user, also after a restart."""
        self._blocks.add(_text("coin", coin), _text("reason", reason))
        self._fresh_until_ns = 0

    def remove_blocked_coin(self, coin: str) -> None:
        """Lift a block set by hand; a coin that the training lists stays listed."""
        self._blocks.remove(_text("coin", coin), self._names())
        self._fresh_until_ns = 0

    def _decision(
        self, coin: str, horizon: str, version: int | None, features: Mapping[str, object], halted: str | None
    ) -> PredictionResult:
        view = self._view
        if view is None or time.monotonic_ns() >= self._fresh_until_ns:
            view = self._serve()
        try:
            ready = view.ready.get((coin, horizon, version))
        except TypeError:  # a name of lists or the like; `_ready` says so
            ready = None
        champion, blocked = ready or self._ready(view, coin, horizon, version)
        now = self._clock.read()
        good_until = min(view.closed_after_ms, champion.valid_until)
        closed: tuple[str, ...] = ()
        if now > good_until or blocked or halted or self._clock.is_behind(now):
            clock = self._clock.reason(now) if self._clock.is_behind(now) else None
            closed = _reasons(blocked, clock, _expired(view, champion, now), halted)
        return champion.predict(features, closed, now > view.stale_after_ms or now > champion.valid_until)

    def _serve(self) -> _Served:
        champions, by_hand = self._loader.current(), self._blocks.by_hand()
        view = self._view
        if view is None or view.champions is not champions or view.by_hand is not by_hand:
            tree = champions.tree
            self._clock.served(tree.current)
            view = self._view = _Served(
                champions=champions,
                by_hand=by_hand,
                blocked=BlockedCoins(by_hand, tree.current.do_not_trade, champions.names),
                stale_after_ms=tree.current.signed_ms + STALE_MS,
                closed_after_ms=tree.expires_ms,
            )
        self._clock.keep()
        self._fresh_until_ns = time.monotonic_ns() + _LOOK_AGAIN_NS
        return view

    def _ready(self, view: _Served, coin: str, horizon: str, version: int | None) -> tuple[Champion, str | None]:
        if version is not None and (type(version) is not int or version < 1):
            raise ModelLoadError(f"{coin} {horizon}: version {version!r}, wanted a number from 1")
        try:
            term = str(Horizon.parse(_text("horizon", horizon)))
        except ConfigError as error:
            raise ModelLoadError(str(error)) from error
        name = view.champions.names.resolve(_text("coin", coin))
        champion = self._loader.champion(view.champions, name, term, version)
        status = champion.manifest.status
        if status == "candidate" and not self._allow_candidates:
            raise ModelLoadError(
                f"{name} {term} v{champion.version} is a candidate: {why_no_champion(champion.manifest.evidence)}."
                " HamiltonInterface(allow_candidates=True) or `huracan predict --candidates` loads it for paper trading."
            )
        blocked = view.blocked.reason(name, status=status, allow_candidates=self._allow_candidates)
        view.ready[coin, horizon, version] = (champion, blocked)
        return champion, blocked

    def _blocked(self) -> BlockedCoins:
        if self._loader.published():
            return self._serve().blocked
        return BlockedCoins(self._blocks.by_hand(), [], CoinNames({}))

    def _names(self) -> CoinNames:
        return self._serve().champions.names if self._loader.published() else CoinNames({})


def _text(what: str, given: object) -> str:
    """A name as it was given; raises ModelLoadError for what is no text."""
    if isinstance(given, str):
        return given
    raise ModelLoadError(f"{what} is {given!r}, wanted a text such as {_EXAMPLES[what]!r}")
