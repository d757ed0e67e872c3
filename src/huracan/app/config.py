"""The documented configuration of a pipeline, and how it becomes the full settings."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from huracan.domain.homes import workdir_folder
from huracan.domain.recipe import RiskPreset
from huracan.domain.time import DAY_MS, HOUR_MS, MINUTE_MS, iso, parse_iso
from huracan.errors import ConfigError
from huracan.settings import Settings, load_settings

FIRST_MARKET_MS: Final = parse_iso("2017-07-14")
LAST_MOMENT_MS: Final = parse_iso("2200-01-01")

_TRAINING_FIELDS = (
    "lookback_days",
    "risk_preset",
    "dry_run",
    "min_liquidity_gbp",
    "max_spread_bps",
    "min_edge_after_cost_bps",
    "training_backend",
    "max_concurrent_jobs",
    "max_coins",
)


@dataclass(kw_only=True)
class TrainingPipelineConfig:
    """What to train and how strictly; volumes in GBP per 24 h, spreads and edges in bps of notional.

    The documented fields override the rest of the configuration, which comes from `settings` or, where that is None,
    from the environment and the defaults. `as_of` is an ISO instant (None: the exchange's clock). At `deadline` (HH:MM,
    UTC) what is unfinished keeps yesterday's champion.
    """

    lookback_days: int = 150
    horizons: list[str] = field(default_factory=lambda: ["1h", "4h", "1d"])
    risk_preset: RiskPreset = "balanced"
    dry_run: bool = False
    min_liquidity_gbp: float = 10_000_000.0
    max_spread_bps: float = 8.0
    min_edge_after_cost_bps: float = 5.0
    training_backend: str = "asyncio"
    max_concurrent_jobs: int = 10
    dropbox_access_token: str | None = field(default=None, repr=False)
    dropbox_base_path: str = "/HuracanEngine"
    max_coins: int | None = None
    workdir: Path | str | None = None
    as_of: str | None = None
    deadline: str | None = None
    settings: Settings | None = field(default=None, repr=False)

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        *,
        workdir: Path | str | None = None,
        as_of: str | None = None,
        deadline: str | None = None,
    ) -> "TrainingPipelineConfig":
        """A configuration that agrees with resolved settings."""
        training = settings.training
        token = settings.dropbox_access_token
        return cls(
            **{name: getattr(training, name) for name in _TRAINING_FIELDS},
            horizons=list(training.horizons),
            dropbox_access_token=token.get_secret_value() if token else None,
            dropbox_base_path=settings.dropbox.base_path,
            workdir=workdir,
            as_of=as_of,
            deadline=deadline,
            settings=settings,
        )

    def resolve(self, environ: Mapping[str, str] | None = None) -> Settings:
        """Full settings with the documented fields applied; raises ConfigError naming a bad value."""
        base = self.settings or load_settings(None, (), os.environ if environ is None else environ)
        training = {name: getattr(self, name) for name in _TRAINING_FIELDS}
        merged = {**base.training.model_dump(), **training, "horizons": tuple(self.horizons)}
        try:
            checked = type(base.training).model_validate(merged)
        except ValueError as error:
            raise ConfigError(f"TrainingPipelineConfig: {error}") from error
        dropbox = base.dropbox.model_copy(update={"base_path": self.dropbox_base_path})
        token = SecretStr(self.dropbox_access_token) if self.dropbox_access_token else base.dropbox_access_token
        return base.model_copy(update={"training": checked, "dropbox": dropbox, "dropbox_access_token": token})

    def folder(self) -> Path:
        """Where lake, artefacts, ledger, store and reports live."""
        return workdir_folder(self.workdir, os.environ)

    def deadline_ms(self, now_ms: int) -> int | None:
        """The next moment after now at which the UTC clock shows `deadline`; raises ConfigError for another form."""
        if self.deadline is None:
            return None
        match = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])", self.deadline)
        if match is None:
            raise ConfigError(f"deadline {self.deadline!r} is not HH:MM in UTC (such as 06:00)")
        today = now_ms // DAY_MS * DAY_MS + int(match[1]) * HOUR_MS + int(match[2]) * MINUTE_MS
        return today if today > now_ms else today + DAY_MS

    def as_of_ms(self) -> int | None:
        """`as_of` in milliseconds, None for the exchange's clock; raises ConfigError for a moment without any
        market.
        """
        if self.as_of is None:
            return None
        moment = parse_iso(self.as_of)
        if not FIRST_MARKET_MS <= moment < LAST_MOMENT_MS:
            raise ConfigError(
                f"as of {self.as_of!r} lies outside {iso(FIRST_MARKET_MS)[:10]}, when Binance opened, to"
                f" {iso(LAST_MOMENT_MS)[:10]}"
            )
        return moment
