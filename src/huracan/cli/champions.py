"""`huracan champions ...`: what the store holds."""

from typing import Annotated

import typer

from huracan.cli.groups import WantsHorizon, group
from huracan.cli.options import Coin, ConfigFile, Folder, HorizonName, Json, Store, Workdir, coin_and_horizon

champions_app = group("What the store holds.")


@champions_app.command("list")
def champions_list(store: Store = None, workdir: Workdir = None, json_: Json = False) -> None:
    """All champions and candidates of the current set."""
    from huracan.cli.store import list_champions

    raise typer.Exit(list_champions(store, workdir=workdir, as_json=json_))


@champions_app.command("show", cls=WantsHorizon)
def champions_show(
    coin: Coin,
    horizon: HorizonName = None,
    features: Annotated[bool, typer.Option("--features", help="List the model's features as well.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="The signed manifest as it is, instead.")] = False,
    store: Store = None,
    workdir: Workdir = None,
    json_: Json = False,
) -> None:
    """One champion or candidate: edge, trades, costs, drawdown, evidence, regimes, window, engines."""
    from huracan.cli.champion import show_champion

    raise typer.Exit(
        show_champion(
            store, *coin_and_horizon(coin, horizon), workdir=workdir, with_features=features, raw=raw, as_json=json_
        )
    )


@champions_app.command("verify")
def champions_verify(store: Store = None, workdir: Workdir = None, json_: Json = False) -> None:
    """Check every signature, hash and golden row of the current set."""
    from huracan.cli.store import verify_store

    raise typer.Exit(verify_store(store, workdir=workdir, as_json=json_))


@champions_app.command("rollback")
def champions_rollback(
    to: Annotated[
        int | None, typer.Option("--to", min=1, help="A set's number; default: the last that differs.")
    ] = None,
    store: Folder = None,
    workdir: Workdir = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Sign an earlier set as the newest, here and at every remote store."""
    from huracan.cli.publish import rollback

    raise typer.Exit(rollback(to=to, config=config, workdir=workdir, store=store, as_json=json_))
