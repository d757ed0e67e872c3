"""The files that `huracan init` writes: a commented configuration, and the units that start a night by themselves."""

import json
import re
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from huracan.cli.places import program, short
from huracan.domain.homes import DEFAULT_WORKDIR, WORKDIR_VARIABLE, workdir_folder
from huracan.errors import ConfigError
from huracan.settings_table import as_written

CONFIG_FILE: Final = "huracan.yaml"
SERVICE_FILE: Final = "huracan-night.service"
TIMER_FILE: Final = "huracan-night.timer"
DEADLINE_HOURS: Final = 6
"""From the start of a night to the moment at which the rest keeps its champion."""

SPOT_BPS: Final = {0: (10.0, 10.0), 1: (9.0, 10.0)}
UM_BPS: Final = {0: (2.0, 5.0), 1: (1.6, 4.0)}
"""(maker, taker) by VIP tier, bps; what higher tiers pay is asked for."""

_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_QUOTE = re.compile("[A-Z0-9]{2,12}")
MARKETS: Final = ("auto", "um", "spot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a user decides before the first night; fees in bps per side, `None` for those of the tier."""

    market: str = "auto"
    quotes: tuple[str, ...] = ("USDT", "USDC", "FDUSD")
    capital: float = 10_000.0
    vip: int = 0
    spot_taker: float | None = None
    um_taker: float | None = None
    stores: tuple[str, ...] = ()
    night: str = "00:10"
    workdir: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What `init` made: files, and the three commands that follow."""

    files: tuple[Path, ...]
    commands: tuple[str, ...] = field(default=())


def write_configuration(folder: Path, choices: Choices, *, force: bool) -> Written:
    """Write configuration and units into a folder; ConfigError where one is there and not `force`, or a choice is
    wrong.
    """
    folder = folder.absolute()
    texts = {CONFIG_FILE: configuration(choices), SERVICE_FILE: service(folder, choices), TIMER_FILE: timer(choices)}
    there = [name for name in texts if (folder / name).exists() or (folder / name).is_symlink()]
    if there and not force:
        raise ConfigError(
            f"{', '.join(there)} in {folder} {'is' if len(there) == 1 else 'are'} there already, and nothing was written;"
            " --force replaces them, --out names another folder"
        )
    _check(texts[CONFIG_FILE])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        _replace(folder / name, text)
    config = shlex.quote(short(folder / CONFIG_FILE))
    workdir = workdir_folder(choices.workdir or folder / DEFAULT_WORKDIR, {})
    place = "" if workdir == workdir_folder(None, {}) else f" --workdir {shlex.quote(short(workdir))}"
    units = [shlex.quote(str(folder / name)) for name in (SERVICE_FILE, TIMER_FILE)]
    return Written(
        files=tuple(folder / name for name in texts),
        commands=(
            f"{program()} doctor --config {config}{place}",
            f"{program()} run --config {config}{place}",
            f"systemctl --user link {units[0]} && systemctl --user enable --now {units[1]}",
        ),
    )


def fees(choices: Choices) -> dict[str, float]:
    """Settings of fees; ConfigError for a tier whose fees are not known here and not given."""
    spot, um = SPOT_BPS.get(choices.vip), UM_BPS.get(choices.vip)
    if (spot is None or um is None) and None in (choices.spot_taker, choices.um_taker):
        raise ConfigError(
            f"the fees of VIP {choices.vip} are not known here, only those of VIP 0 and 1: give both --spot-taker-bps and"
            " --um-taker-bps, as your account's fee page shows them (0.1% is 10 bps)"
        )
    taker = {
        "spot": choices.spot_taker if choices.spot_taker is not None else (spot or (0.0, 0.0))[1],
        "um": choices.um_taker if choices.um_taker is not None else (um or (0.0, 0.0))[1],
    }
    maker = {"spot": (spot or (taker["spot"],))[0], "um": (um or (taker["um"],))[0]}
    return {
        "spot_maker_bps": min(maker["spot"], taker["spot"]),
        "spot_taker_bps": taker["spot"],
        "um_maker_bps": min(maker["um"], taker["um"]),
        "um_taker_bps": taker["um"],
    }


def configuration(choices: Choices) -> str:
    """The YAML file."""
    rate = {name: as_written(value) for name, value in fees(choices).items()}
    if choices.market not in MARKETS:
        raise ConfigError(f"market {choices.market!r} is not one of {', '.join(MARKETS)}")
    if not choices.quotes or not all(map(_QUOTE.fullmatch, choices.quotes)):
        raise ConfigError(f"quote assets {[name[:40] for name in choices.quotes]}: wanted names such as USDT")
    stores = ", ".join(json.dumps(store) for store in choices.stores)
    return f"""\
# Huracan, this account's own settings; whatever is not named here is at its default.
# All settings there are: `huracan config schema`. What is in force: `huracan config show --config THIS_FILE`.
# Secrets are never in this file: DROPBOX_REFRESH_TOKEN, AWS_ACCESS_KEY_ID and the like come from the environment.

costs:
  # Fees per side in bps of notional (10 is 0.1%): VIP {choices.vip} of Binance, as its pages say. Compare them with the
  # fee page of your account: an edge measured with lower fees than yours is not there.
  spot_maker_bps: {rate["spot_maker_bps"]}
  spot_taker_bps: {rate["spot_taker_bps"]}     # every simulated fill takes: on spot this one decides
  um_maker_bps: {rate["um_maker_bps"]}
  um_taker_bps: {rate["um_taker_bps"]}       # and this one on perpetuals
  capital_quote: {as_written(choices.capital)}  # capital of one coin, in quote currency; more of it moves the price more

training:
  market: {choices.market}            # what stands for a coin: auto and um its perpetual where there is one; spot: long or flat only
  quote_assets: [{", ".join(choices.quotes)}]
  horizons: [1h, 4h, 1d]  # how long a position is held
  risk_preset: balanced   # conservative, balanced or aggressive
  min_liquidity_gbp: 10000000  # coins below this volume of 24 hours are left out, GBP
  max_spread_bps: 8       # and those with a wider spread
  max_coins: null         # a number for a first try, such as 20; null: all that qualify

publish:
  # Signed champions lie in WORKDIR/store. Copies go to these as well: s3://bucket/prefix, gs://, az://, dropbox:/path.
  urls: [{stores}]
"""


def service(folder: Path, choices: Choices) -> str:
    """The unit of one night, for the user's own systemd."""
    command = _unit_words(*_program_words())
    config = _unit_words("--config", str(folder / CONFIG_FILE))
    return f"""\
# One night, for your own user: `systemctl --user`. For a service user and tighter walls see deploy/systemd.
[Unit]
Description=Huracan: train every pair, sign what is proven
StartLimitIntervalSec=6h
StartLimitBurst=4

[Service]
Type=oneshot
WorkingDirectory={str(folder).replace("%", "%%")}
Environment={_unit_words(f"{WORKDIR_VARIABLE}={workdir_folder(choices.workdir or folder / DEFAULT_WORKDIR, {})}")}
# Secrets, one NAME=value a line, mode 0600.
EnvironmentFile=-{(str(folder) + "/huracan.env").replace("%", "%%")}
ExecStartPre={command} doctor {config}
ExecStart={command} run --json --deadline {_deadline(choices.night)} {config}
TimeoutStartSec=8h
# 4 (backend lost) and 5 (publishing pending) go on when started again. Configuration (2), refused data (3) and a lock
# (6)
# need somebody to look.
Restart=on-failure
RestartSec=10min
RestartPreventExitStatus=2 3 6
KillMode=mixed
Nice=10
UMask=0077
"""


def timer(choices: Choices) -> str:
    """The unit that starts it."""
    return f"""\
[Unit]
Description=Huracan, every night

[Timer]
OnCalendar=*-*-* {night_time(choices.night)}:00 UTC
Persistent=true
RandomizedDelaySec=2min

[Install]
WantedBy=timers.target
"""


def _check(text: str) -> None:
    """Raises ConfigError where the settings would refuse what was chosen."""
    import tempfile

    from huracan.adapters.publishers.remotes import publish_targets
    from huracan.settings import load_settings

    with tempfile.TemporaryDirectory(prefix="huracan-init-") as folder:
        file = Path(folder) / CONFIG_FILE
        file.write_text(text, encoding="utf-8")
        publish_targets(load_settings(file, (), {}))


def _replace(file: Path, text: str) -> None:
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)


def night_time(text: str) -> str:
    """The time as it stands; ConfigError for another form."""
    if not _TIME.fullmatch(text):
        raise ConfigError(f"{text!r} is not HH:MM in UTC, such as 00:10")
    return text


def _deadline(night: str) -> str:
    hour, minute = map(int, night_time(night).split(":"))
    return f"{(hour + DEADLINE_HOURS) % 24:02d}:{minute:02d}"


def _program_words() -> tuple[str, ...]:
    here = Path(sys.executable).with_name("huracan")
    return (str(here),) if here.exists() else (sys.executable, "-m", "huracan.cli.main")


def _unit_words(*words: str) -> str:
    """Words as a unit file quotes them."""
    escaped = (word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$") for word in words)
    return " ".join(f'"{word}"' if re.search(r"[^A-Za-z0-9_@%+=:,./-]", word) else word for word in escaped)
