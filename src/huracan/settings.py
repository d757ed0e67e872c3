"""All settings in one frozen model: defaults in code, file over default, environment over file, ``--set`` over all.

Read once at the top (`load_settings`), then passed down. Secrets come from the environment only.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import yaml
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from huracan.domain.recipe import RiskPreset
from huracan.domain.time import Horizon
from huracan.errors import ConfigError
from huracan.sections import MetricsSettings, Section, TelemetrySettings


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
    deadline_s: float = Field(1800.0, gt=0, description="for one operation with all its retries")
    api_host: str | None = Field(None, description="host:port of a Dropbox-compatible server; None is the real one")
    ca_file: Path | None = Field(None, description="authority that such a server's certificate is trusted by")


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
    listing_url: str | None = Field(
        None, description="where the archive lists its files; None: its bucket, or archive_url if that is another"
    )
    connect_timeout_s: float = Field(5.0, gt=0)
    read_timeout_s: float = Field(20.0, gt=0)
    total_timeout_s: float = Field(120.0, gt=0)
    max_connections: int = Field(8, ge=1, le=64)

    @field_validator("rest_url", "futures_url", "archive_url", "listing_url")
    @classmethod
    def _without_credentials(cls, value: str | None) -> str | None:
        if value is not None and "@" in value.partition("://")[2]:
            raise ValueError(
                "holds a user name or password; public market data need none, and URLs reach logs and files"
            )
        return value


class CostSettings(Section):
    """Costs the owner knows better than we: fees in bps per side, capital per coin."""

    spot_maker_bps: float = Field(10.0, ge=0)
    spot_taker_bps: float = Field(10.0, ge=0)
    um_maker_bps: float = Field(2.0, ge=0)
    um_taker_bps: float = Field(5.0, ge=0)
    capital_quote: float = Field(10_000.0, gt=0, description="capital of one coin, in quote currency")
    quote_per_gbp: float = Field(
        1.30, gt=0, description="used where the exchange lists no GBP pair; stated in the summary"
    )


class PromotionSettings(Section):
    """Rules of promotion; see docs. The stress table bounds a day's loss; a simulated world brings its own."""

    stress_table: Path | None = None
    injected_seen_until: str | None = Field(
        None, description="your declaration: nobody looked at days after this date when the injected code was chosen"
    )
    panel_size: int = Field(60, ge=8, le=1000)


class DashboardSettings(Section):
    """Where the live page is served; beyond loopback only with TLS, a token from the environment and named hosts."""

    host: str = "127.0.0.1"
    port: int = Field(8787, ge=0, le=65535, description="0: any free one")
    tls_cert: Path | None = None
    tls_key: Path | None = None
    allowed_hosts: tuple[str, ...] = Field((), description="names by which browsers may call it, besides `host`")


class PublishSettings(Section):
    """Where champions go beside the local folder store: s3://, gs://, az:// and dropbox: URLs, without credentials."""

    urls: tuple[str, ...] = ()
    deadline_s: float = Field(1800.0, gt=0, description="for one store; what is missing then is pending")
    operation_s: float = Field(120.0, gt=0, description="for one operation of a store, with all its repetitions")


class Settings(BaseSettings):
    """The resolved configuration of a run; `Settings()` is the defaults, `load_settings` reads file and environment."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", validate_default=True)

    training: TrainingSettings = TrainingSettings()
    consensus: ConsensusSettings = ConsensusSettings()
    regime_gate: RegimeGateSettings = RegimeGateSettings()
    dropbox: DropboxSettings = DropboxSettings()
    hamilton: HamiltonSettings = HamiltonSettings()
    binance: BinanceSettings = BinanceSettings()
    costs: CostSettings = CostSettings()
    promotion: PromotionSettings = PromotionSettings()
    metrics: MetricsSettings = MetricsSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    dashboard: DashboardSettings = DashboardSettings()
    publish: PublishSettings = PublishSettings()
    dropbox_access_token: SecretStr | None = None
    dropbox_refresh_token: SecretStr | None = None
    dropbox_app_key: SecretStr | None = None
    dropbox_app_secret: SecretStr | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Values as given, only: which environment counts, and over what, is `load_settings`' to say."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


PREFIX: Final = "HURACAN_"
TEST_PREFIX: Final = "HURACAN_TEST_"  # sizes of our own tests
OTHER_VARIABLES: Final = (
    "HURACAN_DASHBOARD_TOKEN",
    "HURACAN_KEYS_DIR",
    "HURACAN_ROOT_PASSPHRASE",
    "HURACAN_STATE_DIR",
    "HURACAN_TRUSTED_ROOT",
    "HURACAN_WORKDIR",
)
"""Variables of ours that are no settings; read where they are needed."""

SECRETS: Final = {
    name.upper(): name
    for name in ("dropbox_access_token", "dropbox_refresh_token", "dropbox_app_key", "dropbox_app_secret")
}
"""Environment variables that hold secrets, and the fields they fill."""


SECTIONS: Final[dict[str, type[Section]]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}


@dataclass(frozen=True, slots=True)
class _Given:
    """A value and where it came from, in words."""

    value: Any
    where: str


def load_settings(file: Path | None, overrides: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Settings from ``section.key=value`` overrides over the environment over a YAML file over the defaults.

    Raises ConfigError for a file that cannot be read, a key given twice (both lines) or unknown (its line and the nearest
    known key), a misspelt HURACAN_ variable, and a value out of range (the value and where it was given).
    """
    given: dict[str, _Given] = {}
    for source in (_from_file(file), _from_environment(environ), _from_overrides(overrides)):
        given.update(source)
    values: dict[str, Any] = {field: environ[name] for name, field in SECRETS.items() if environ.get(name)}
    for path, item in given.items():
        section, _, key = path.partition(".")
        values.setdefault(section, {})[key] = item.value
    try:
        return Settings(**values)
    except ValidationError as error:
        raise ConfigError("; ".join(_problems(error, given))) from None


def local_only(settings: Settings) -> Settings:
    """The same settings, publishing to the local store alone: champions of a simulated market go nowhere else."""
    return settings.model_copy(update={"publish": PublishSettings(), **dict.fromkeys(SECRETS.values())})


def resolved_dict(settings: Settings) -> dict[str, Any]:
    """All settings as JSON types, without secrets: what is hashed into a manifest."""
    return settings.model_dump(mode="json", exclude=set(SECRETS.values()))


def _problems(error: ValidationError, given: Mapping[str, _Given]) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        path = ".".join(str(part) for part in problem["loc"][:2])
        if path in SECRETS.values():
            yield f"{path}: {problem['msg']}"
            continue
        where = f" ({given[path].where})" if path in given else ""
        yield f"{path}{_shown(problem)}{where}: {problem['msg'].removeprefix('Value error, ')}"


def _shown(problem: Mapping[str, Any]) -> str:
    """A refused value in words: nothing of a misspelt name's, which may be a secret, nor of a URL that holds one."""
    value = problem["input"]
    if problem["type"] == "extra_forbidden":
        return ""
    with_user = isinstance(value, str) and "://" in value and "@" in value
    return " is [redacted]" if with_user else f" is {value!r}"


def _from_file(file: Path | None) -> dict[str, _Given]:
    if file is None:
        return {}
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not YAML: {error}") from error
    found: dict[str, _Given] = {}
    if root is None:
        return found
    for section, section_node, line in _entries(root, file, "the file"):
        if section in SECRETS.values() or section.upper() in SECRETS:
            raise ConfigError(
                f"{file} line {line}: {section!r} is a secret; give it as {section.upper()} in the environment"
            )
        if section not in SECTIONS:
            known = _nearest_path(section) if section in _keys() else _nearest(section, SECTIONS)
            raise ConfigError(f"{file} line {line}: unknown section {section!r}{known}")
        for key, node, key_line in _entries(section_node, file, f"{section!r}"):
            path = f"{section}.{key}"
            if key not in SECTIONS[section].model_fields:
                raise ConfigError(f"{file} line {key_line}: unknown key {path!r}{_nearest_path(path)}")
            found[path] = _Given(_construct(node, file, path), f"{file} line {key_line}")
    return found


def _entries(node: yaml.Node, file: Path, what: str) -> Iterator[tuple[str, yaml.Node, int]]:
    """Key, value and line of a mapping; an empty section has none, a key given twice is an error."""
    line = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode) and not node.value.strip():
        return
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{file} line {line}: {what} must hold 'key: value' lines")
    seen: dict[str, int] = {}
    for key_node, value_node in node.value:
        key, line = str(key_node.value), key_node.start_mark.line + 1
        if key in seen:
            raise ConfigError(f"{file}: key {key!r} is given twice, on lines {seen[key]} and {line}; keep one of them")
        seen[key] = line
        yield key, value_node, line


def _construct(node: yaml.Node, file: Path, path: str) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node, deep=True)
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} line {node.start_mark.line + 1}: {path} has no plain value: {error}") from error
    finally:
        loader.dispose()


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Given]:
    found: dict[str, _Given] = {}
    known = {f"{PREFIX}{path.replace('.', '__')}".upper(): path for path in _paths()}
    for name in sorted(environ):
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in OTHER_VARIABLES or upper.startswith(TEST_PREFIX):
            continue
        path = known.get(upper)
        if path is None:
            raise ConfigError(f"unknown environment variable {name}{_nearest(upper, [*known, *OTHER_VARIABLES])}")
        found[path] = _Given(_from_text(path, environ[name]), f"environment variable {name}")
    return found


def _from_overrides(overrides: Sequence[str]) -> dict[str, _Given]:
    found: dict[str, _Given] = {}
    for text in overrides:
        path, equals, value = text.partition("=")
        path = path.strip()
        if not equals:
            raise ConfigError(f"--set {text!r} is not section.key=value")
        if path in SECRETS.values():
            raise ConfigError(f"--set {path}: a secret; give it as {path.upper()} in the environment")
        if path not in _paths():
            raise ConfigError(f"--set {text!r}: unknown key {path!r}{_nearest_path(path)}")
        found[path] = _Given(_from_text(path, value.strip()), f"--set {path}")
    return found


def _from_text(path: str, text: str) -> Any:
    """A value as pydantic takes it: comma lists for sequences, ``null`` where None is allowed, else the text itself."""
    section, _, key = path.partition(".")
    kinds = _kinds(SECTIONS[section].model_fields[key].annotation)
    if type(None) in kinds and text.lower() in {"", "null", "none"}:
        return None
    if tuple in kinds:
        inner = text.removeprefix("[").removesuffix("]")
        return [part.strip().strip("\"'") for part in inner.split(",") if part.strip()]
    return text


def _kinds(annotation: Any) -> set[Any]:
    """The alternatives of an annotation; a tuple type counts as `tuple`."""
    if get_origin(annotation) is tuple:
        return {tuple}
    arguments = get_args(annotation)
    return set().union(*(_kinds(argument) for argument in arguments)) if arguments else {annotation}


def _paths() -> list[str]:
    return [f"{section}.{key}" for section, model in SECTIONS.items() for key in model.model_fields]


def _keys() -> set[str]:
    return {path.rpartition(".")[2] for path in _paths()}


def _nearest_path(path: str) -> str:
    key = path.rpartition(".")[2]
    same = [known for known in _paths() if known.endswith(f".{key}")]
    return f"; did you mean {same[0]!r}?" if same else _nearest(path, _paths())


def _nearest(name: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else f"; known are {', '.join(known)}"
