"""Commands that look into a store through Hamilton: list, verify; and `keys init`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huracan.cli.opening import open_hamilton
from huracan.cli.output import number, print_json
from huracan.domain.ids import result_key
from huracan.errors import HuracanError

if TYPE_CHECKING:
    from huracan.domain.bundle import SetMember
    from huracan.hamilton import HamiltonInterface


def list_champions(store: str | None, *, workdir: Path | None = None, as_json: bool) -> int:
    """Print the current set."""
    hamilton = open_hamilton(store, workdir=workdir)
    rows = [_member_row(hamilton, member) for member in hamilton.get_members()]
    blocked = hamilton.get_do_not_trade_list()
    if as_json:
        print_json({"models": rows, "do_not_trade": blocked})
        return 0
    from huracan.cli.cards import market_words, terminal
    from huracan.cli.tables import show
    from huracan.domain.proof import evidence_number

    show(
        terminal(),
        f"{len(rows)} models, {len(blocked)} coins not to trade",
        ["coin", "market", "at", "status", "version", "net edge bps", "Sharpe/yr", "pool's e-value"],
        [
            [
                row.coin,
                market_words(row.instrument),
                row.horizon,
                row.status,
                f"v{row.version}",
                number(row.net_edge_bps),
                number(row.sharpe_ratio, 2),
                "–" if row.e_value is None else evidence_number(row.e_value),
            ]
            for row in rows
        ],
    )
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRow:
    """A model of the current set."""

    coin: str
    horizon: str
    status: str
    version: int
    net_edge_bps: float | None
    sharpe_ratio: float | None
    e_value: float | None
    instrument: str
    market: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedModel:
    """A model that does not verify, and why."""

    model: str
    code: str
    error: str


def _member_row(hamilton: "HamiltonInterface", member: "SetMember") -> MemberRow:
    _, metadata = hamilton.load_model(member.coin, member.horizon)
    return MemberRow(
        coin=member.coin,
        horizon=member.horizon,
        status=member.status,
        version=member.version,
        net_edge_bps=metadata.net_edge_bps,
        sharpe_ratio=metadata.sharpe_ratio,
        e_value=metadata.e_value,
        instrument=member.instrument,
        market="um" if member.instrument.partition("~")[0].endswith("-um") else "spot",
    )


def verify_store(store: str | None, *, workdir: Path | None = None, as_json: bool) -> int:
    """Load every model of the current set, golden rows included; status 1 when one is refused."""
    hamilton = open_hamilton(store, workdir=workdir)
    good: list[str] = []
    bad: list[RefusedModel] = []
    for member in hamilton.get_members():
        name = result_key(member.coin, member.horizon)
        try:
            hamilton.load_model(member.coin, member.horizon)
            good.append(name)
        except HuracanError as error:
            bad.append(RefusedModel(model=name, code=error.code, error=str(error)))
    if as_json:
        print_json({"verified": good, "refused": bad})
    else:
        from rich.console import Console

        console = Console()
        console.print(f"[green]{len(good)} verified[/green], {len(bad)} refused")
        for row in bad:
            console.print(f"  {row.model}: {row.code} {row.error}", markup=False)
    return 1 if bad else 0


def init_signing_keys(*, as_json: bool) -> int:
    """Create keys and trust them; says where they are and what to move away."""
    import os
    import time

    from pydantic import SecretStr

    from huracan.adapters.keys import init_keys, install_trusted_root, keys_folder, trusted_root_file

    folder, trusted = keys_folder(os.environ), trusted_root_file(os.environ)
    passphrase = os.environ.get("HURACAN_ROOT_PASSPHRASE")
    keys = init_keys(folder, SecretStr(passphrase) if passphrase else None, wall_clock_ms=time.time_ns() // 1_000_000)
    install_trusted_root(keys, trusted)
    body = {"folder": str(folder), "root_protected": keys.root_protected, "trusted_root": str(trusted)}
    if as_json:
        print_json(body)
        return 0
    from rich.console import Console

    console = Console()
    console.print(f"keys in {folder}\ntrusted root in {trusted}", markup=False)
    if not keys.root_protected:
        console.print("[yellow]the root key is unprotected: set HURACAN_ROOT_PASSPHRASE, or move it away[/yellow]")
    return 0
