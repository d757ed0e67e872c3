"""All settings in one frozen model: defaults in code, file over default, environment over file.

Read once at the top (`load`), then passed down. Secrets come from the environment only.
"""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from huracan.domain.recipe import RiskPreset
from huracan.domain.time import Horizon
from huracan.errors import ConfigError


class Section(BaseModel):
    """One concern; frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class TrainingSettings(Section):
    """What to train, on what, and how wide."""

    lookback_days: int = Field(150, ge=34, le=2000, description="rolling training window, days")
    history_days: int = Field(1095, ge=34, le=4000, description="days of evidence to walk forward over at admission")
    min_history_days: int = Field(40, ge=34, description="days of bars an instrument needs")
    horizons: tuple[str, ...] = Field(("1h", "4h", "1d"), min_length=1)
    risk_preset: RiskPreset = "balanced"
    dry_run: bool = False
    min_liquidity_gbp: float = Field(10_000_000.0, ge=0, description="24 h quote volume, GBP")
    max_spread_bps: float = Field(8.0, gt=0, description="full quoted spread, bps")
    min_edge_after_cost_bps: float = Field(5.0, description="bps of notional per round trip")
    training_backend: Literal["asyncio", "dask", "ray"] = "asyncio"
    backend_address: str | None = None
    max_concurrent_jobs: int = Field(10, ge=1, le=10_000)
    num_workers: int = Field(0, ge=0, description="worker processes; 0 = one per core")
    job_timeout_s: float = Field(1800.0, gt=0)
    max_coins: int | None = Field(None, ge=1, description="None: compute is the only limit")
    market: Literal["auto", "um", "spot"] = Field("auto", description="preferred market of a coin")
    quote_assets: tuple[str, ...] = ("USDT", "USDC", "FDUSD")
    recipes: tuple[str, ...] = ("linear", "boosted")
    decision_interval_minutes: int = Field(60, description="60 or 15")
    execution_latency_s: int = Field(30, ge=0, le=600)
    base_interval: Literal["1m", "15m", "1h"] = "1m"
    seed: int = 0
    leak_exempt: tuple[str, ...] = Field((), description="features a simulated world plants its edge in; never set on a real market")
    stale_after_minutes: float = Field(180.0, gt=0, description="age of the last bar that makes a coin stale")
    max_stale_share: float = Field(0.2, gt=0, le=1, description="share of stale coins that refuses the run")

    @field_validator("horizons")
    @classmethod
    def _horizons_are_real(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            if Horizon.parse(text).minutes < 60:
                raise ValueError(f"horizon {text!r} is shorter than the decision interval of 60 minutes")
        if len(set(value)) != len(value):
            raise ValueError(f"horizons {value} name one twice")
        return value

    @field_validator("decision_interval_minutes")
    @classmethod
    def _interval_fits_the_hour(cls, value: int) -> int:
        if value not in {15, 60}:
            raise ValueError(f"decision_interval_minutes is {value}, wanted 15 or 60")
        return value


class ConsensusSettings(Section):
    """How votes become a score."""

    adaptive_threshold: bool = True
    min_consensus_score: float = Field(0.5, ge=0, le=1)
    correlation_penalty_weight: float = Field(0.3, ge=0, le=1)


class RegimeGateSettings(Section):
    """When an engine may vote in a regime."""

    use_limits: bool = Field(False, description="apply the three documented limits on top of the net-edge gate")
    min_win_rate: float = Field(0.55, ge=0, le=1)
    min_sharpe: float = 1.0
    min_sample_size: int = Field(50, ge=1)
    enable_all_by_default: bool = True


class DropboxSettings(Section):
    """Where in Dropbox the tree goes; the token comes from the environment."""

    base_path: str = "/HuracanEngine"


class HamiltonSettings(Section):
    """What Hamilton serves."""

    model_base_path: str = "/models"
    ranking_coins: tuple[str, ...] | None = None
    ranking_horizons: tuple[str, ...] | None = None
    ranking_regimes: tuple[str, ...] | None = None


class BinanceSettings(Section):
    """Base URLs of the exchange and its public archive, and how patient to be."""

    rest_url: str = "https://api.binance.com"
    futures_url: str = "https://fapi.binance.com"
    archive_url: str = "https://data.binance.vision"
    connect_timeout_s: float = Field(5.0, gt=0)
    read_timeout_s: float = Field(20.0, gt=0)
    total_timeout_s: float = Field(120.0, gt=0)
    max_connections: int = Field(8, ge=1, le=64)


class CostSettings(Section):
    """Costs the owner knows better than we: fees in bps per side, capital per coin."""

    spot_maker_bps: float = Field(10.0, ge=0)
    spot_taker_bps: float = Field(10.0, ge=0)
    um_maker_bps: float = Field(2.0, ge=0)
    um_taker_bps: float = Field(5.0, ge=0)
    capital_quote: float = Field(10_000.0, gt=0, description="capital of one coin, in quote currency")
    quote_per_gbp: float = Field(1.30, gt=0, description="used where the exchange lists no GBP pair; stated in the summary")


class PromotionSettings(Section):
    """Rules of promotion; see docs. The stress table bounds a day's loss; a simulated world brings its own."""

    stress_table: Path | None = None
    injected_seen_until: str | None = Field(
        None, description="your declaration: nobody looked at days after this date when the injected code was chosen"
    )
    panel_size: int = Field(60, ge=8, le=1000)


class Settings(BaseSettings):
    """The resolved configuration of a run."""

    model_config = SettingsConfigDict(
        env_prefix="HURACAN_", env_nested_delimiter="__", frozen=True, extra="forbid", validate_default=True
    )

    training: TrainingSettings = TrainingSettings()
    consensus: ConsensusSettings = ConsensusSettings()
    regime_gate: RegimeGateSettings = RegimeGateSettings()
    dropbox: DropboxSettings = DropboxSettings()
    hamilton: HamiltonSettings = HamiltonSettings()
    binance: BinanceSettings = BinanceSettings()
    costs: CostSettings = CostSettings()
    promotion: PromotionSettings = PromotionSettings()
    dropbox_access_token: SecretStr | None = Field(None, validation_alias="DROPBOX_ACCESS_TOKEN")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over file (the file arrives as init values)."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings
