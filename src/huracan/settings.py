"""All settings in one frozen model: defaults in code, file over default, environment over file, ``--set`` over all.

Read once at the top (`load_settings`), then passed down. Secrets come from the environment only.
"""

import difflib
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args, get_origin

import yaml
from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from huracan.domain.json import Json
from huracan.errors import ConfigError
from huracan.sections import (
    BinanceSettings,
    ConsensusSettings,
    CostSettings,
    DashboardSettings,
    DropboxSettings,
    HamiltonSettings,
    MetricsSettings,
    PromotionSettings,
    PublishSettings,
    RegimeGateSettings,
    Section,
    StorageSettings,
    TelemetrySettings,
    TrainingSettings,
    VendorSettings,
)


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
    storage: StorageSettings = StorageSettings()
    vendors: VendorSettings = VendorSettings()
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
OTHER_VARIABLES: Final = {
    "HURACAN_DASHBOARD_TOKEN": "password of the live page; needed beyond loopback",
    "HURACAN_KEYS_DIR": "folder of the signing keys; default ~/.config/huracan/keys",
    "HURACAN_ROOT_PASSPHRASE": "opens the root key; wanted by `huracan keys`",
    "HURACAN_STATE_DIR": "what Hamilton remembers of stores; default ~/.local/state/huracan",
    "HURACAN_TRUSTED_ROOT": "whose signatures are believed; default ~/.config/huracan/trust/root.json",
    "HURACAN_WORKDIR": "lake, artefacts, ledger, store and reports; default ./huracan-work",
}
"""Variables of ours that are no settings, and what they are; read where they are needed."""

LARGEST_FILE: Final = 1 << 20
DEEPEST: Final = 12
MOST_ALIASES: Final = 12
"""What a configuration file may hold; each alias may stand for all that stands before it."""
MOST_PROBLEMS: Final = 12

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


_SHORT = reprlib.Repr()
"""A refused value is shown, however large it is, in a line."""
_SHORT.maxstring = _SHORT.maxother = 200


@dataclass(frozen=True, slots=True)
class _Given:
    """A value and where it came from, in words."""

    value: Any
    where: str


def load_settings(file: Path | None, overrides: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Settings from ``section.key=value`` overrides over the environment over a YAML file over the defaults.

    Raises ConfigError for a file that cannot be read, a key given twice (both lines) or unknown (its line and the
    nearest known key), a misspelt HURACAN_ variable, and a value out of range (the value and where it was given).
    """
    return load_with_origins(file, overrides, environ)[0]


def load_with_origins(
    file: Path | None, overrides: Sequence[str], environ: Mapping[str, str]
) -> tuple[Settings, dict[str, str]]:
    """The same settings, and where each came from that is not its default, by ``section.key`` or the secret's name."""
    given: dict[str, _Given] = {}
    for source in (_from_file(file), _from_environment(environ), _from_overrides(overrides)):
        given.update(source)
    secret_values = {field: environ[name] for name, field in SECRETS.items() if environ.get(name)}
    sections: dict[str, dict[str, object]] = {}
    for path, item in given.items():
        section, _, key = path.partition(".")
        sections.setdefault(section, {})[key] = item.value
    try:
        settings = Settings.model_validate({**secret_values, **sections})
    except ValidationError as error:
        problems = list(_problems(error, given))
        more = [f"and {len(problems) - MOST_PROBLEMS} more"] if len(problems) > MOST_PROBLEMS else []
        raise ConfigError("; ".join(problems[:MOST_PROBLEMS] + more)) from None
    secrets = {field: f"environment variable {name}" for name, field in SECRETS.items() if environ.get(name)}
    return settings, {**secrets, **{path: item.where for path, item in given.items()}}


def local_only(settings: Settings) -> Settings:
    """The same settings, publishing to the local store alone: champions of a simulated market go nowhere else."""
    return settings.model_copy(update={"publish": PublishSettings(), **dict.fromkeys(SECRETS.values())})


def resolved_dict(settings: Settings) -> dict[str, dict[str, Json]]:
    """All settings as JSON types by section, without secrets: what is hashed into a manifest."""
    sections: dict[str, dict[str, Json]] = settings.model_dump(mode="json", exclude=set(SECRETS.values()))
    return sections


def _problems(error: ValidationError, given: Mapping[str, _Given]) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        path = ".".join(str(part) for part in problem["loc"][:2])
        if path in SECRETS.values():
            yield f"{path}: {problem['msg']}"
            continue
        where = f" ({given[path].where})" if path in given else ""
        yield f"{path}{_shown(problem)}{where}: {problem['msg'].removeprefix('Value error, ')}"


def _shown(problem: ErrorDetails) -> str:
    """A refused value in words: nothing of a misspelt name's, which may be a secret, nor of a URL that holds one."""
    value = problem["input"]
    if problem["type"] == "extra_forbidden":
        return ""
    with_user = isinstance(value, str) and "://" in value and "@" in value
    return " is [redacted]" if with_user else f" is {_SHORT.repr(value)}"


def _from_file(file: Path | None) -> dict[str, _Given]:
    if file is None:
        return {}
    try:
        root = yaml.compose(_checked_text(file), Loader=yaml.SafeLoader)
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


def _checked_text(file: Path) -> str:
    """A YAML file's text, small and flat enough to be built: nested brackets and aliases grow without a bound."""
    with file.open("rb") as stream:
        data = stream.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise ConfigError(f"{file} holds more than {LARGEST_FILE >> 10} KiB; a configuration of ours is a few")
    text, depth, aliases = data.decode("utf-8"), 0, 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        aliases += isinstance(event, yaml.AliasEvent)
        if depth > DEEPEST:
            raise ConfigError(
                f"{file} line {line}: nested deeper than {DEEPEST} levels; sections hold 'key: value' lines"
            )
        if aliases > MOST_ALIASES:
            raise ConfigError(f"{file} line {line}: more than {MOST_ALIASES} aliases (*name); write the values out")
    return text


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
    if tuple in kinds and "{" in text:
        return _flow(path, text)
    if tuple in kinds:
        inner = text.removeprefix("[").removesuffix("]")
        return [part.strip().strip("\"'") for part in inner.split(",") if part.strip()]
    return text


def _flow(path: str, text: str) -> Any:
    """A value written in YAML's flow style, as ``[linear, {mine: [trend, trees]}]``."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path} is {_SHORT.repr(text)}: not readable as YAML ({type(error).__name__})") from error


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


def _nearest(name: str, known: Iterable[str]) -> str:
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else f"; known are {', '.join(known)}"
