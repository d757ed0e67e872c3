"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Coin = Annotated[str, typer.Argument(help="A coin by any of its names, such as BTC, btcusdt, BTC/USDT or BTCUSDT-um.")]
HorizonName = Annotated[
    str | None, typer.Argument(help="How long a position is held: 1h, 4h or 1d. A key such as BTC_1h holds it already.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, logs on stderr.")]
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="The store's root, the folder with models/ and metadata/; or s3://, gs://, az://, dropbox:. Default: that of the"
        " workdir.",
    ),
]
Folder = Annotated[str | None, typer.Option("--store", help="The folder store's root; default: that of the workdir.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="YAML file, as config/base.yaml.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="section.key=value, over file and environment.")]
Workdir = Annotated[
    Path | None,
    typer.Option(
        "--workdir",
        help="Folder of lake, artefacts, ledger, store and reports; default: HURACAN_WORKDIR, else ./huracan-work.",
    ),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show log lines, too; they always go to logs/ in the workdir.")
]
Interval = Annotated[
    str | None, typer.Option("--interval", help="Bars of 1m, 15m or 1h; needed where there are several lakes.")
]
Only = Annotated[str | None, typer.Option("--instrument", help="One instrument alone, such as SOLUSDT-um.")]


def coin_and_any_horizon(coin: str, horizon: str | None) -> tuple[str, str | None]:
    """The two that were typed, or those of a key such as BTC_1h."""
    from huracan.domain.coin_names import split_key

    name, at = split_key(coin)
    return (name, at) if at is not None and horizon in {None, at} else (coin, horizon)


def coin_and_horizon(coin: str, horizon: str | None) -> tuple[str, str]:
    """As `coin_and_any_horizon`; a usage error where no horizon was given."""
    name, at = coin_and_any_horizon(coin, horizon)
    if at is None:
        raise typer.BadParameter(f"which horizon of {coin!r}? Give it behind the coin, such as 1h, 4h or 1d")
    return name, at
