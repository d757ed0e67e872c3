"""The sections of the settings: one frozen model a concern, each with its defaults, limits and rules."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, field_validator, model_validator

from huracan.domain.addresses import is_loopback
from huracan.domain.recipe import RiskPreset
from huracan.domain.time import Horizon
from huracan.errors import ConfigError


class Section(BaseModel):
    """One concern; frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


class OwnRecipe(Section):
    """A user-supplied recipe: a name, and the installed engines that compete under it."""

    name: str
    engines: tuple[str, ...]


class TrainingSettings(Section):
    """What to train, on what, and how wide."""

    lookback_days: int = Field(150, ge=34, le=2000, description="rolling training window, days")
    history_days: int = Field(1095, ge=34, le=4000, description="days of evidence to backtest at admission")
    min_history_days: int = Field(40, ge=34, description="days of bars an instrument needs")
    horizons: tuple[str, ...] = Field(
        ("1h", "4h", "1d"), min_length=1, description="how far ahead models predict; from an hour on"
    )
    risk_preset: RiskPreset = Field("balanced", description="sizes positions and sets the drawdown limit")
    dry_run: bool = Field(False, description="the whole cycle, and nothing is written to the store")
    min_liquidity_gbp: float = Field(10_000_000.0, ge=0, description="24 h quote volume, GBP")
    max_spread_bps: float = Field(8.0, gt=0, description="full quoted spread, bps")
    min_edge_after_cost_bps: float = Field(5.0, description="bps of notional per round trip")
    training_backend: Literal["asyncio", "dask", "ray"] = Field("asyncio", description="what runs the jobs")
    backend_address: str | None = Field(None, description="host:port of a Dask scheduler or a Ray cluster")
    max_concurrent_jobs: int = Field(10, ge=1, le=10_000, description="jobs at once, at most")
    num_workers: int = Field(0, ge=0, description="worker processes; 0 = one per core")
    job_timeout_s: float = Field(1800.0, gt=0, description="one job may take so long")
    backend_start_s: float = Field(300.0, gt=0, description="for a backend to come up, or to be without any machine")
    max_coins: int | None = Field(None, ge=1, description="null: compute is the only limit")
    market: Literal["auto", "um", "spot"] = Field("auto", description="preferred market of a coin")
    quote_assets: tuple[str, ...] = Field(
        ("USDT", "USDC", "FDUSD"), description="what coins are traded against, the first one preferred"
    )
    recipes: tuple[str | OwnRecipe, ...] = Field(
        ("linear", "boosted"),
        min_length=1,
        description="built-in recipes by name, own ones with their engines, as {mine: [trend, flow, trees]}",
    )
    decision_interval_minutes: int = Field(60, description="60 or 15")
    execution_latency_s: int = Field(30, ge=0, le=600, description="from the close of a bar to the fill")
    base_interval: Literal["1m", "15m", "1h"] = Field("1m", description="bars that everything is computed from")
    seed: int = Field(0, description="of everything that is drawn")
    leak_exempt: tuple[str, ...] = Field(
        (), description="features a simulated world plants its edge in; never set on a real market"
    )
    stale_after_minutes: float = Field(180.0, gt=0, description="age of the last bar that makes a coin stale")
    max_stale_share: float = Field(0.2, gt=0, le=1, description="share of stale coins that refuses the run")

    @field_validator("horizons")
    @classmethod
    def _horizons_are_real(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            try:
                horizon = Horizon.parse(text)
            except ConfigError as error:
                raise ValueError(str(error)) from error
            if horizon.minutes < 60:
                raise ValueError(f"horizon {text!r} is shorter than the decision interval of 60 minutes")
        if len(set(value)) != len(value):
            raise ValueError(f"horizons {value} name one twice")
        return value

    @field_validator("recipes", mode="before")
    @classmethod
    def _recipes_as_written(cls, value: Any) -> Any:
        """Names and mappings of names to engines, in any mixture, as a list of both."""
        items = [value] if isinstance(value, Mapping | str) else value
        if not isinstance(items, list | tuple):
            return value
        found: list[Any] = []
        for item in items:
            if not isinstance(item, Mapping) or set(item) == {"name", "engines"}:
                found.append(item)
                continue
            for name, engines in item.items():
                if not isinstance(engines, list | tuple):
                    raise ValueError(f"recipe {name!r} holds {engines!r}, wanted a list of engines, as [trend, trees]")  # noqa: TRY004 - pydantic turns a ValueError into a problem
                found.append(OwnRecipe(name=str(name), engines=tuple(map(str, engines))))
        return tuple(found)

    @property
    def recipe_names(self) -> tuple[str, ...]:
        """All recipes by name, in order."""
        return tuple(item if isinstance(item, str) else item.name for item in self.recipes)

    @field_validator("decision_interval_minutes")
    @classmethod
    def _interval_fits_the_hour(cls, value: int) -> int:
        if value not in {15, 60}:
            raise ValueError(f"decision_interval_minutes is {value}, wanted 15 or 60")
        return value


class ConsensusSettings(Section):
    """How votes become a score."""

    adaptive_threshold: bool = Field(True, description="the threshold rises after poor results")
    min_consensus_score: float = Field(0.5, ge=0, le=1, description="a smaller score opens no position")
    correlation_penalty_weight: float = Field(0.3, ge=0, le=1, description="how much votes that always agree lose")


DOCUMENTED_LIMITS: Final = {"min_win_rate": 0.55, "min_sharpe": 1.0}


class RegimeGateSettings(Section):
    """When an engine may vote in a regime: its net edge decides, and on top of it every limit that is set."""

    min_win_rate: float | None = Field(None, ge=0, le=1, description="share of outcomes above 0; null: no such limit")
    min_sharpe: float | None = Field(None, description="annualised over 365 days; null: no such limit")
    use_limits: bool | None = Field(None, description="true: a limit that is not set is the documented .55 or 1.0")
    hysteresis: float = Field(0.0, ge=0, lt=1, description="share by which an open engine may fall short of a limit")
    min_sample_size: int = Field(50, ge=1, description="outcomes of an engine before the gate decides on it")
    enable_all_by_default: bool = Field(
        True, description="engines without a verdict yet may vote; illiquid stays closed"
    )

    @model_validator(mode="after")
    def _nothing_is_without_effect(self) -> Self:
        if self.use_limits is False and (self.min_win_rate, self.min_sharpe) != (None, None):
            raise ValueError("use_limits is false and min_win_rate or min_sharpe is set; leave out one of the two")
        if self.hysteresis and not self.limits:
            raise ValueError("hysteresis is that of the limits, and none is set; set min_win_rate or min_sharpe")
        return self

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are on."""
        given = {"min_win_rate": self.min_win_rate, "min_sharpe": self.min_sharpe}
        on = {name: value for name, value in given.items() if value is not None}
        return {**DOCUMENTED_LIMITS, **on} if self.use_limits else on


class DropboxSettings(Section):
    """Where in Dropbox the tree goes; the token comes from the environment."""

    base_path: str = Field("/HuracanEngine", description="folder of the tree in Dropbox")
    deadline_s: float = Field(1800.0, gt=0, description="for one operation with all its retries")
    api_host: str | None = Field(None, description="host:port of a Dropbox-compatible server; null: the real one")
    ca_file: Path | None = Field(None, description="authority that such a server's certificate is trusted by")


class HamiltonSettings(Section):
    """What Hamilton serves."""

    model_base_path: str = Field("/models", description="the store's root, which holds models/ and metadata/")
    ranking_coins: tuple[str, ...] | None = Field(None, description="coins of the ranking; null: all")
    ranking_horizons: tuple[str, ...] | None = Field(None, description="horizons of the ranking; null: all")
    ranking_regimes: tuple[str, ...] | None = Field(None, description="regimes of the ranking; null: all")


class BinanceSettings(Section):
    """Base URLs of the exchange and its public archive, and how patient to be."""

    rest_url: str = Field("https://api.binance.com", description="spot market")
    futures_url: str = Field("https://fapi.binance.com", description="perpetuals")
    archive_url: str = Field("https://data.binance.vision", description="public archive of past bars")
    listing_url: str | None = Field(
        None, description="where the archive lists its files; null: its bucket, or archive_url if that is another"
    )
    connect_timeout_s: float = Field(5.0, gt=0, description="for a connection")
    read_timeout_s: float = Field(20.0, gt=0, description="between two bytes of an answer")
    total_timeout_s: float = Field(120.0, gt=0, description="for one request with its repetitions")
    max_connections: int = Field(8, ge=1, le=64, description="connections at once")

    @field_validator("rest_url", "futures_url", "archive_url", "listing_url")
    @classmethod
    def _without_credentials(cls, value: str | None) -> str | None:
        if value is not None and "@" in value.partition("://")[2]:
            raise ValueError(
                "holds a user name or password; public market data need none, and URLs reach logs and files"
            )
        return value


class CostSettings(Section):
    """Costs that depend on the account: fees in bps per side, capital per coin."""

    spot_maker_bps: float = Field(10.0, ge=0, description="spot fee of a resting order, per side")
    spot_taker_bps: float = Field(10.0, ge=0, description="spot fee of an order that takes, per side")
    um_maker_bps: float = Field(2.0, ge=0, description="fee of a resting order on perpetuals, per side")
    um_taker_bps: float = Field(5.0, ge=0, description="fee of an order that takes on perpetuals, per side")
    capital_quote: float = Field(10_000.0, gt=0, description="capital of one coin, in quote currency")
    quote_per_gbp: float = Field(
        1.30, gt=0, description="used where the exchange lists no GBP pair; stated in the summary"
    )
    tier_spread_bps: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = Field(
        None, description="full spread of tiers A, B, C on bars over a minute where no book is known; null: skipped"
    )


class PromotionSettings(Section):
    """Rules of promotion; see docs. The stress table bounds a day's loss; a simulated world brings its own."""

    stress_table: Path | None = Field(None, description="JSON file of worst days; null: the one that is shipped")
    injected_seen_until: str | None = Field(
        None, description="your declaration: nobody looked at days after this date when the injected code was chosen"
    )
    panel_size: int = Field(
        60, ge=8, le=1000, description="base assets whose results are a pool's evidence, drawn by hash"
    )
    former_pairs: bool = Field(
        True,
        description="evidence counts pairs that were delisted or lost their volume since, on the days they were members",
    )


class VendorSettings(Section):
    """What `huracan lake check` compares the lake with, beside the exchange's own REST."""

    second_venue: str | None = Field(
        None, description="another exchange as ccxt names it, such as bybit; costs requests"
    )
    tolerance_bps: float = Field(50.0, ge=0, description="how far two venues' moves may differ")
    options: Path | None = Field(None, description="JSON object that ccxt's class is built with")


class DashboardSettings(Section):
    """Where the live page is served; beyond loopback only with TLS, a token from the environment and named hosts."""

    host: str = Field("127.0.0.1", description="address of the live page; beyond loopback only with TLS and a token")
    port: int = Field(8787, ge=0, le=65535, description="0: any free one")
    tls_cert: Path | None = Field(None, description="PEM chain of the live page")
    tls_key: Path | None = Field(None, description="its private key, PEM")
    allowed_hosts: tuple[str, ...] = Field((), description="names by which browsers may call it, besides `host`")


class PublishSettings(Section):
    """Where champions go beside the local folder store: s3://, gs://, az:// and dropbox: URLs, without credentials."""

    urls: tuple[str, ...] = Field(
        (), description="s3://bucket/prefix, gs://, az:// and dropbox:/path, beside the local store"
    )
    deadline_s: float = Field(1800.0, gt=0, description="for one store; what is missing then is pending")
    operation_s: float = Field(120.0, gt=0, description="for one operation of a store, with all its repetitions")
    patience_s: float = Field(60.0, gt=0, description="signing waits so long for stores that do not answer")


class MetricsSettings(Section):
    """Ways out for Prometheus metrics; none is open by default, and no failure of theirs fails a night."""

    port: int | None = Field(None, ge=1, le=65535, description="scrape endpoint while a night runs; null: none")
    bind: str = Field("127.0.0.1", description="address of the endpoint; beyond loopback only with TLS")
    tls_certificate: Path | None = Field(None, description="PEM chain of the scrape endpoint")
    tls_key: Path | None = Field(None, description="its private key, PEM")
    textfile: Path | None = Field(None, description="*.prom file for node_exporter, replaced every few seconds")
    pushgateway_url: str | None = Field(None, description="pushed to once, when a night ends")
    push_timeout_s: float = Field(10.0, gt=0, le=300, description="for that one push")
    instance: str | None = Field(None, min_length=1, description="this host at a Pushgateway; null: its host name")

    @field_validator("textfile")
    @classmethod
    def _textfile_is_collected(cls, value: Path | None) -> Path | None:
        if value is not None and value.suffix != ".prom":
            raise ValueError("node_exporter reads files whose names end with .prom only")
        return value

    @field_validator("pushgateway_url")
    @classmethod
    def _gateway_is_a_url(cls, value: str | None) -> str | None:
        return _plain_url(value)

    @model_validator(mode="after")
    def _nobody_else_can_read(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key are given together or not at all")
        if not is_loopback(self.bind) and self.tls_certificate is None:
            raise ValueError(
                f"bind {self.bind!r} is reachable from other machines: give tls_certificate and tls_key, "
                "or keep 127.0.0.1 and let the scraper, a sidecar or a tunnel come to it"
            )
        return self


class TelemetrySettings(Section):
    """Where spans of the run, its steps and jobs go; needs the extra ``otel``."""

    otlp_endpoint: str | None = Field(
        None, description="base URL of an OTLP/HTTP receiver, such as http://localhost:4318"
    )
    timeout_s: float = Field(5.0, gt=0, le=60, description="for one delivery of spans")

    @field_validator("otlp_endpoint")
    @classmethod
    def _endpoint_is_a_url(cls, value: str | None) -> str | None:
        return _plain_url(value)


class StorageSettings(Section):
    """Where data live that every worker reads: below the workdir by default, or in buckets, for workers on other
    machines.

    Credentials come from the environment of driver and workers, as for publishing. One workdir, one place for
    artefacts: each night deletes what its last two runs did not use.
    """

    lake_url: str | None = Field(None, description="s3://bucket/prefix of the lake; null: <workdir>/lake")
    artefacts_url: str | None = Field(
        None, description="s3://bucket/prefix of derived files; null: <workdir>/artefacts"
    )

    @field_validator("lake_url", "artefacts_url")
    @classmethod
    def _without_credentials(cls, value: str | None) -> str | None:
        if value is not None and ("@" in value or "?" in value or "://" not in value):
            raise ValueError("wanted a URL such as s3://bucket/prefix; credentials come from the environment")
        return None if value is None else value.rstrip("/")


def _plain_url(value: str | None) -> str | None:
    """An http(s) URL without credentials in it, since it will be shown."""
    if value is None:
        return None
    url = urlsplit(value)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError("wanted an http:// or https:// URL")
    if url.username or url.password or url.query or url.fragment:
        raise ValueError("credentials and parameters do not belong into this URL")
    return value.rstrip("/")
