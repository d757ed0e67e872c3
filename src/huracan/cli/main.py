"""Commands and their options; the work is imported when a command runs, so `--help` stays quick."""

import errno
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from huracan import __version__
from huracan.cli.engines import engines_app
from huracan.cli.lake import lake_app
from huracan.cli.options import ConfigFile, Folder, Json, Overrides, Store, Workdir
from huracan.errors import ConfigError, HuracanError

USAGE_ERROR: Final[Any] = typer.BadParameter.__base__
"""What typer raises for a command line it cannot read; it has no public name of its own."""
INTERRUPTED_EXIT: Final = 130
OF_THE_PLACE: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EEXIST}
)
"""Errors of the system that say where a user must not or cannot write, and nothing of a fault in the program."""

app = typer.Typer(
    name="huracan",
    help="Train every Binance pair every night; keep only the edges that survive an honest test.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
exchange_app = typer.Typer(help="A Binance-compatible exchange on loopback.", no_args_is_help=True)
champions_app = typer.Typer(help="What the store holds.", no_args_is_help=True)
keys_app = typer.Typer(help="Signing keys.", no_args_is_help=True)
app.add_typer(exchange_app, name="exchange")
app.add_typer(champions_app, name="champions")
app.add_typer(keys_app, name="keys")
ledger_app = typer.Typer(help="The evidence of promotion.", no_args_is_help=True)
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
    out: Annotated[Path | None, typer.Option("--out", help="Folder for everything the demo makes.")] = None,
    world: Annotated[str, typer.Option("--world", help="demo or null.")] = "demo",
    days: Annotated[int, typer.Option("--days", min=70, help="Days of one-minute bars.")] = 120,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the simulated world.")] = DEFAULT_SEED,
    json_: Json = False,
) -> None:
    """A whole night, offline: simulated exchange, training, promotion, signed champions, one prediction."""
    from huracan.cli.demo import run_demo

    _finish(run_demo(out=out, world=world, days=days, seed=seed, as_json=json_))


@app.command()
def run(
    config: ConfigFile = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="ISO instant; default: the exchange's clock.")] = None,
    workdir: Workdir = None,
    backend: Annotated[str | None, typer.Option("--backend", help="asyncio, dask or ray.")] = None,
    address: Annotated[str | None, typer.Option("--address", help="Scheduler or cluster address.")] = None,
    max_coins: Annotated[int | None, typer.Option("--max-coins", min=1)] = None,
    deadline: Annotated[
        str | None, typer.Option("--deadline", help="HH:MM in UTC; the rest keeps its champion.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="The whole cycle; nothing is written to the store.")
    ] = False,
    overrides: Overrides = None,
    json_: Json = False,
) -> None:
    """Tonight: every pair, from data to signed champions."""
    from huracan.cli.night import run_night

    values = list(overrides or [])
    named = {"training_backend": backend, "backend_address": address, "max_coins": max_coins}
    values += [f"training.{key}={value}" for key, value in named.items() if value is not None]
    values += ["training.dry_run=true"] if dry_run else []
    _finish(run_night(config=config, overrides=values, as_of=as_of, deadline=deadline, workdir=workdir, as_json=json_))


@exchange_app.command("serve")
def exchange_serve(
    candles: Annotated[
        Path | None, typer.Option("--candles", help="Folder <spot|um>/<SYMBOL>/<1m|15m|1h>.parquet.")
    ] = None,
    world: Annotated[str | None, typer.Option("--world", help="demo, null, skewed, planted, broken or wide.")] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535)] = 0,
    coins: Annotated[
        int | None, typer.Option("--coins", min=1, help="Default 16; without a world: symbols of the wide one.")
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1)] = 120,
    seed: Annotated[int, typer.Option("--seed")] = 0,
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


@champions_app.command("list")
def champions_list(store: Store = None, json_: Json = False) -> None:
    """All champions and candidates of the current set."""
    from huracan.cli.store import list_champions

    _finish(list_champions(store, as_json=json_))


@champions_app.command("show")
def champions_show(coin: str, horizon: str, store: Store = None, json_: Json = False) -> None:
    """One champion or candidate: manifest, metrics, costs, evidence."""
    from huracan.cli.store import show_champion

    _finish(show_champion(store, coin, horizon, as_json=json_))


@champions_app.command("verify")
def champions_verify(store: Store = None, json_: Json = False) -> None:
    """Check every signature, hash and golden row of the current set."""
    from huracan.cli.store import verify_store

    _finish(verify_store(store, as_json=json_))


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

    _finish(rollback(to=to, config=config, workdir=workdir, store=store, as_json=json_))


@app.command()
def publish(store: Folder = None, workdir: Workdir = None, config: ConfigFile = None, json_: Json = False) -> None:
    """Finish publishing: every remote store gets the current set. Safe to repeat."""
    from huracan.cli.publish import publish as publish_now

    _finish(publish_now(config=config, workdir=workdir, store=store, as_json=json_))


@app.command()
def predict(
    coin: str,
    horizon: str,
    features: Annotated[Path, typer.Option("--features", help="JSON object: feature name to number.")],
    store: Store = None,
    candidates: Annotated[bool, typer.Option("--candidates", help="Allow candidates (paper trading).")] = False,
    json_: Json = False,
) -> None:
    """One prediction by Hamilton."""
    from huracan.cli.store import predict_once

    _finish(predict_once(store, coin, horizon, features, allow_candidates=candidates, as_json=json_))


@app.command()
def explain(
    coin: str,
    horizon: Annotated[str | None, typer.Argument()] = None,
    workdir: Workdir = None,
    json_: Json = False,
) -> None:
    """Why a coin has, or has not, a champion after the latest night."""
    from huracan.cli.explain import explain_coin

    _finish(explain_coin(workdir, coin, horizon, as_json=json_))


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
    """Lineages, champions and notes, with every chain checked."""
    from huracan.cli.upkeep import show_ledger

    _finish(show_ledger(workdir, as_json=json_))


@ledger_app.command("unfreeze")
def ledger_unfreeze(
    pool: str,
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
    """Run the command; an error ends with its message and its exit status, in --json mode as the one object on stdout."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    try:
        status = app(given, prog_name="huracan", standalone_mode=False)
    except HuracanError as error:
        _refuse(error.code, str(error), as_json=as_json)
        raise SystemExit(error.exit_status) from error
    except USAGE_ERROR as error:
        if as_json:
            _refuse("USAGE", error.format_message(), as_json=True)
        else:
            error.show()
        raise SystemExit(ConfigError.exit_status) from error
    except typer.Abort:
        status = INTERRUPTED_EXIT
    except Exception as error:
        if isinstance(error, OSError) and error.errno in OF_THE_PLACE:
            _refuse(ConfigError.code, _place_in_words(error), as_json=as_json)
            raise SystemExit(ConfigError.exit_status) from error
        if as_json:
            _refuse("UNEXPECTED", f"{type(error).__name__}: {error}", as_json=True)
        raise
    if status == INTERRUPTED_EXIT:  # typer's own answer to Ctrl-C
        _refuse("INTERRUPTED", "interrupted; start again to go on", as_json=as_json)
    raise SystemExit(status or 0)


def _place_in_words(error: OSError) -> str:
    where = error.filename if error.filename is not None else "a file of this command"
    return f"{where}: {error.strerror}. Give this user that place, or name another one."


def _refuse(code: str, text: str, *, as_json: bool) -> None:
    if as_json:
        from huracan.cli.output import print_json

        print_json({"success": False, "code": code, "error": text})
    typer.secho(f"{code}: {text}", err=True, fg="red")


if __name__ == "__main__":
    main()
