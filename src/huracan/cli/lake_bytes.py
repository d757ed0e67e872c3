"""`huracan lake audit --bytes`: every byte of a lake read and compared with the sha256 in its table's commit."""

from pathlib import Path
from typing import Any, Final

from huracan.cli.output import print_json
from huracan.errors import ConfigError, DamagedTableError

WAY_OUT: Final = "a night fetches again what it reads, `huracan lake fill --verify` everything"


def show_bytes(
    settings: Any, workdir: Path | None, candles: Path | None, interval: str | None, only: str | None, *, as_json: bool
) -> int:
    """Verify a lake; the status of bad data where something is damaged, 0 otherwise. Nothing is changed."""
    from huracan.cli.upkeep import lake_place, open_lake

    if candles is not None:
        raise ConfigError("--bytes compares a lake with its own hashes, and --candles is no lake; give one of them")
    place = lake_place(settings, workdir, interval)
    lake, instruments = open_lake(place, only)
    rows = [verified(lake, instrument) for instrument in instruments]
    body = {
        "audited": place,
        "tables": len(rows),
        "bytes": sum(row["bytes"] for row in rows),
        "damaged": [{"table": row["table"], "what": what} for row in rows for what in row["damaged"]],
        "unproven": [{"table": row["table"], "files": row["unproven"]} for row in rows if row["unproven"]],
        "seals": {row["table"]: row["seal"] for row in rows},
        "set_aside": lake.aside(),
    }
    if as_json:
        print_json(body)
    else:
        _print(body)
    return DamagedTableError.exit_status if body["damaged"] else 0


def verified(lake: Any, instrument: Any) -> dict[str, Any]:
    """What reading all bytes of an instrument shows."""
    damaged = lake.damaged(instrument)
    row: dict[str, Any] = {"table": instrument.id, "damaged": damaged, "unproven": 0, "bytes": 0, "seal": None}
    try:
        held = lake.holding(instrument)
    except DamagedTableError:
        return row
    return {**row, "unproven": held.unproven, "bytes": held.bytes, "seal": held.seal}


def _print(body: dict[str, Any]) -> None:
    from huracan.cli.cards import terminal
    from huracan.cli.tables import show

    console = terminal()
    size = f"{body['bytes'] / 1e6:,.1f} MB"
    console.print(f"{body['tables']:,} instruments, {size} read, {len(body['damaged']):,} damaged", markup=False)
    if body["damaged"]:
        cells = [[row["table"], row["what"]] for row in body["damaged"]]
        show(console, f"damaged; {WAY_OUT}", ["instrument", "what"], cells)
    if body["unproven"]:
        cells = [[row["table"], f"{row['files']:,}"] for row in body["unproven"]]
        show(console, "sealed after they were written by a release without hashes", ["instrument", "files"], cells)
    if body["set_aside"]:
        console.print(
            f"{len(body['set_aside']):,} set aside on earlier days, in damaged/ beside the tables", markup=False
        )
