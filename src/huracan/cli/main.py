"""Commands and their options; the work is imported when a command runs, so `--help` stays quick."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from huracan import __version__
from huracan.cli.champions import champions_app
from huracan.cli.collector import collector_paused, end_without_collecting
from huracan.cli.completion import Shell, answer_shells, print_script
from huracan.cli.config import config_app
from huracan.cli.endings import run_to_end
from huracan.cli.engines import engines_app
from huracan.cli.groups import WantsHorizon, group
from huracan.cli.lake import lake_app
from huracan.cli.options import (
    Coin,
    ConfigFile,
    Folder,
    HorizonName,
    Json,
    Overrides,
    Store,
    Verbose,
    Workdir,
    coin_and_any_horizon,
    coin_and_horizon,
)

app = group("Train every Binance pair every night; keep only the edges that survive an honest test.", name="huracan")
exchange_app = group("A Binance-compatible exchange on loopback.")
keys_app = group("Signing keys.")
ledger_app = group("The evidence of promotion.")
app.add_typer(exchange_app, name="exchange")
app.add_typer(champions_app, name="champions")
app.add_typer(keys_app, name="keys")
app.add_typer(config_app, name="config")
app.add_typer(engines_app, name="engines")
app.add_typer(lake_app, name="lake")
app.add_typer(ledger_app, name="ledger")

DEFAULT_SEED: Final = 1
"""The demo's world: any but 0, on which its strength and bounds were chosen."""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"huracan {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that every command shares."""
    del version


@app.command()
def demo(
    out: Annotated[
        Path | None, typer.Option("--out", help="The demo's workdir, for everything it makes; default: ./huracan-demo.")
    ] = None,
    world: Annotated[str, typer.Option("--world", help="demo or null.")] = "demo",
    days: Annotated[int, typer.Option("--days", min=70, help="Days of one-minute bars.")] = 120,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the simulated world.")] = DEFAULT_SEED,
    verbose: Verbose = False,
    json_: Json = False,
) -> None:
    """A whole night, offline: simulated exchange, training, promotion, signed champions, one prediction."""
    from huracan.cli.demo import run_demo

    _finish(run_demo(out=out, world=world, days=days, seed=seed, verbose=verbose, as_json=json_))


@app.command()
def init(
    out: Annotated[Path, typer.Option("--out", help="Folder to write into; default: this one.")] = Path(),
    market: Annotated[str | None, typer.Option("--market", help="auto, um or spot: what stands for a coin.")] = None,
    quote: Annotated[list[str] | None, typer.Option("--quote", help="A quote asset; repeat for more.")] = None,
    capital: Annotated[float | None, typer.Option("--capital", help="Capital of one coin, in quote currency.")] = None,
    vip: Annotated[int | None, typer.Option("--vip", min=0, max=9, help="Your VIP tier at Binance; sets fees.")] = None,
    spot_taker_bps: Annotated[float | None, typer.Option("--spot-taker-bps", min=0, help="0.1% is 10.")] = None,
    um_taker_bps: Annotated[float | None, typer.Option("--um-taker-bps", min=0, help="0.05% is 5.")] = None,
    store: Annotated[
        list[str] | None, typer.Option("--store", help="A remote store beside the local one; repeat for more.")
    ] = None,
    night: Annotated[str | None, typer.Option("--night", help="Start of the night, HH:MM in UTC.")] = None,
    workdir: Workdir = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    json_: Json = False,
) -> None:
    """Write a commented configuration of yours and the units that run a night by themselves."""
    from huracan.cli.init import run_init

    given = {
        "market": market, "quotes": tuple(quote or ()) or None, "capital": capital, "vip": vip,
        "spot_taker": spot_taker_bps, "um_taker": um_taker_bps, "stores": tuple(store or ()) or None, "night": night,
        "workdir": None if workdir is None else str(workdir),
    }  # fmt: skip
    chosen = {name: value for name, value in given.items() if value is not None}
    _finish(run_init(out, chosen, force=force, as_json=json_))


@app.command()
def run(
    config: ConfigFile = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="ISO instant; default: the exchange's clock.")] = None,
    workdir: Workdir = None,
    backend: Annotated[str | None, typer.Option("--backend", help="asyncio, dask or ray.")] = None,
    address: Annotated[str | None, typer.Option("--address", help="Scheduler or cluster address.")] = None,
    max_coins: Annotated[int | None, typer.Option("--max-coins", min=1, help="At most so many coins.")] = None,
    deadline: Annotated[
        str | None, typer.Option("--deadline", help="HH:MM in UTC; the rest keeps its champion.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="The whole cycle; nothing is written to the store.")
    ] = False,
    overrides: Overrides = None,
    verbose: Verbose = False,
    json_: Json = False,
) -> None:
    """Tonight: every pair, from data to signed champions."""
    from huracan.cli.night import run_night

    values = list(overrides or [])
    named = {"training_backend": backend, "backend_address": address, "max_coins": max_coins}
    values += [f"training.{key}={value}" for key, value in named.items() if value is not None]
    values += ["training.dry_run=true"] if dry_run else []
    places = {"config": config, "workdir": workdir}
    _finish(run_night(**places, overrides=values, as_of=as_of, deadline=deadline, verbose=verbose, as_json=json_))


@exchange_app.command("serve")
def exchange_serve(
    candles: Annotated[
        Path | None, typer.Option("--candles", help="Folder <spot|um>/<SYMBOL>/<1m|15m|1h>.parquet.")
    ] = None,
    world: Annotated[str | None, typer.Option("--world", help="demo, null, skewed, planted, broken or wide.")] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = 0,
    coins: Annotated[
        int | None, typer.Option("--coins", min=1, help="Default 16; without a world: symbols of the wide one.")
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, help="Days of bars of the world.")] = 120,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the world.")] = 0,
    now: Annotated[str | None, typer.Option("--now", help="ISO instant at which the exchange stands still.")] = None,
    tick: Annotated[bool, typer.Option("--tick", help="Let the clock run.")] = False,
    book: Annotated[Path | None, typer.Option("--book", help="Recorded bookTicker array.")] = None,
    faults: Annotated[Path | None, typer.Option("--faults", help="JSON list of faults to inject.")] = None,
    attached: Annotated[bool, typer.Option("--attached", help="End when stdin does.")] = False,
    limits: Annotated[bool, typer.Option("--limits", help="Answer 429 and 418 as the exchange does.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Errors, too, as one JSON object on stdout.")] = False,
) -> None:
    """Serve recorded candles or a simulated world; the first line on stdout is JSON with the URLs."""
    from huracan.cli.exchange import serve_exchange

    del json_  # the one line on stdout is JSON anyway
    serve_exchange(
        candles=candles,
        world=world,
        port=port,
        coins=coins,
        days=days,
        seed=seed,
        now=now,
        tick=tick,
        book=book,
        faults=faults,
        attached=attached,
        limits=limits,
    )


@app.command()
def publish(store: Folder = None, workdir: Workdir = None, config: ConfigFile = None, json_: Json = False) -> None:
    """Finish publishing: every remote store gets the current set. Safe to repeat."""
    from huracan.cli.publish import publish as publish_now

    _finish(publish_now(config=config, workdir=workdir, store=store, as_json=json_))


@app.command(cls=WantsHorizon)
def predict(
    coin: Coin,
    horizon: HorizonName = None,
    features: Annotated[
        Path | None,
        typer.Option("--features", help="JSON object, feature name to number; default: from bars that are fetched."),
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", help="ISO instant: what would have been decided then; default: now.")
    ] = None,
    candidates: Annotated[bool, typer.Option("--candidates", help="Allow candidates (paper trading).")] = False,
    store: Store = None,
    workdir: Workdir = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    json_: Json = False,
) -> None:
    """What to do with a coin now: long, short or no entry, with edge, costs and reasons."""
    coin, horizon = coin_and_horizon(coin, horizon)
    with collector_paused():
        from huracan.cli.predict import Asked, predict_from_features, predict_now

        asked = Asked(
            coin=coin, horizon=horizon, store=store, workdir=workdir, config=config, overrides=overrides or (), at=at,
            candidates=candidates,
        )  # fmt: skip
        if features is None:
            _finish(predict_now(asked, as_json=json_))
        _finish(predict_from_features(asked, features, as_json=json_))


@app.command()
def explain(
    coin: Annotated[str | None, typer.Argument(help="As the night names it; none: the whole night.")] = None,
    horizon: Annotated[str | None, typer.Argument(help="1h, 4h or 1d; default: all of them.")] = None,
    details: Annotated[bool, typer.Option("--details", help="The evidence with e-values, and all skips.")] = False,
    workdir: Workdir = None,
    json_: Json = False,
) -> None:
    """What the latest night found; with a coin, why it has a champion or not."""
    from huracan.cli.explain import explain_coin, explain_night

    if coin is None:
        _finish(explain_night(workdir, details=details, as_json=json_))
    else:
        _finish(explain_coin(workdir, *coin_and_any_horizon(coin, horizon), as_json=json_))


@app.command()
def dashboard(
    config: ConfigFile = None,
    workdir: Workdir = None,
    store: Annotated[Path | None, typer.Option("--store", help="A folder store; default: that of the workdir.")] = None,
    host: Annotated[str | None, typer.Option("--host", help="Default 127.0.0.1; others need TLS and a token.")] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Default 8787; 0: any free one.")] = None,
    overrides: Overrides = None,
    json_: Json = False,
) -> None:
    """The live page: tonight's run, the store, evidence, champions, skips, past nights."""
    from huracan.cli.live import serve

    named = {"host": host, "port": port}
    values = [*(overrides or []), *(f"dashboard.{key}={value}" for key, value in named.items() if value is not None)]
    _finish(serve(config=config, overrides=values, workdir=workdir, store=store, as_json=json_))


@app.command()
def completion(
    shell: Annotated[Shell, typer.Argument(help="The shell that is to complete commands and options.")],
) -> None:
    """Lines for a shell's start file, as in: eval "$(huracan completion bash)"."""
    _finish(print_script(shell))


@app.command()
def doctor(
    config: ConfigFile = None,
    workdir: Workdir = None,
    overrides: Overrides = None,
    json_: Json = False,
) -> None:
    """What is right, doubtful or wrong before a night, and what to do about it."""
    from huracan.cli.doctor import run_doctor

    _finish(run_doctor(config=config, overrides=list(overrides or []), workdir=workdir, as_json=json_))


@app.command()
def report(
    workdir: Workdir = None,
    run_id: Annotated[str | None, typer.Option("--run-id", help="Default: the newest night.")] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    json_: Json = False,
) -> None:
    """Where the newest night's page lies."""
    from huracan.cli.live import print_report

    _finish(print_report(workdir=workdir, run_id=run_id, open_it=open_it, as_json=json_))


@keys_app.command("init")
def keys_init(json_: Json = False) -> None:
    """Make a root key (passphrase from HURACAN_ROOT_PASSPHRASE) and an online key, and trust them here."""
    from huracan.cli.store import init_signing_keys

    _finish(init_signing_keys(as_json=json_))


@ledger_app.command("show")
def ledger_show(workdir: Workdir = None, json_: Json = False) -> None:
    """Hypotheses, champions and notes, with every chain checked."""
    from huracan.cli.upkeep import show_ledger

    _finish(show_ledger(workdir, as_json=json_))


@ledger_app.command("unfreeze")
def ledger_unfreeze(
    pool: Annotated[str, typer.Argument(help="A pool's name, as `huracan ledger show` prints it.")],
    note: Annotated[str, typer.Option("--note", help="Why promotions of this pool may go on; it is signed and kept.")],
    workdir: Workdir = None,
    json_: Json = False,
) -> None:
    """End the freeze that common breaches of a pool's bounds have brought."""
    from huracan.cli.upkeep import end_freeze

    _finish(end_freeze(workdir, pool, note, as_json=json_))


@ledger_app.command("adopt")
def ledger_adopt(
    note: Annotated[
        str, typer.Option("--note", help="Why this ledger goes on with this store; it is signed and kept.")
    ],
    workdir: Workdir = None,
    json_: Json = False,
) -> None:
    """Go on with a store that was signed on another ledger, after LEDGER_BEHIND, where that ledger is lost."""
    from huracan.cli.upkeep import adopt_ledger

    _finish(adopt_ledger(workdir, note, as_json=json_))


@keys_app.command("rotate")
def keys_rotate(
    new_root: Annotated[bool, typer.Option("--new-root", help="Replace the root key as well.")] = False,
    store: Folder = None,
    workdir: Workdir = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Replace the online key and sign the store and its copies anew; needs the root key."""
    from huracan.cli.publish import rotate

    _finish(rotate(new_root=new_root, config=config, workdir=workdir, store=store, as_json=json_))


def _finish(status: int) -> NoReturn:
    raise typer.Exit(status)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command; an error ends with its message and its exit status, in --json mode as the one object on
    stdout.
    """
    answer_shells()
    end_without_collecting()
    run_to_end(app, sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    main()
