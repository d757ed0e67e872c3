"""Commands that look into a store through Hamilton: list, show, verify, predict; and `keys init`."""

import json
import os
from pathlib import Path
from typing import Any

from huracan.cli.output import number, print_json
from huracan.domain.ids import result_key
from huracan.errors import ConfigError, HuracanError

DEFAULT_STORE = Path("huracan-work") / "store"
STORE_VARIABLE = "HURACAN_HAMILTON__MODEL_BASE_PATH"


def open_hamilton(store: str | Path | None, *, allow_candidates: bool = True) -> Any:
    """Hamilton over a store's root or the URL of a remote store; ConfigError where there is none.

    Without `store` it is that of a workdir beside the caller, or the one that HURACAN_HAMILTON__MODEL_BASE_PATH names.
    """
    from huracan.hamilton import HamiltonInterface

    if isinstance(store, str) and ("://" in store or store.startswith("dropbox:")):
        from huracan.app import open_source

        return HamiltonInterface(source=open_source(store, every_s=None), allow_candidates=allow_candidates)
    path = Path(store or os.environ.get(STORE_VARIABLE) or DEFAULT_STORE)
    if not (path / "metadata").is_dir():
        raise ConfigError(f"{path} holds no metadata/ folder; give the store's root with --store (a run prints it)")
    return HamiltonInterface(model_base_path=str(path), allow_candidates=allow_candidates)


def list_champions(store: str | None, *, as_json: bool) -> int:
    """Print the current set."""
    hamilton = open_hamilton(store)
    rows = [_member_row(hamilton, member) for member in hamilton.get_members()]
    blocked = hamilton.get_do_not_trade_list()
    if as_json:
        print_json({"models": rows, "do_not_trade": blocked})
        return 0
    from huracan.cli.tables import show, terminal

    show(
        terminal(),
        f"{len(rows)} models, {len(blocked)} coins not to trade",
        ["coin", "horizon", "status", "version", "net edge bps", "Sharpe/yr", "e-value"],
        [
            [
                row["coin"],
                row["horizon"],
                row["status"],
                f"v{row['version']}",
                number(row["net_edge_bps"]),
                number(row["sharpe_ratio"], 2),
                number(row["e_value"], 2),
            ]
            for row in rows
        ],
    )
    return 0


def _member_row(hamilton: Any, member: Any) -> dict[str, Any]:
    _, metadata = hamilton.load_model(member.coin, member.horizon)
    return {
        "coin": member.coin,
        "horizon": member.horizon,
        "status": member.status,
        "version": member.version,
        "net_edge_bps": metadata.net_edge_bps,
        "sharpe_ratio": metadata.sharpe_ratio,
        "e_value": metadata.e_value,
    }


def show_champion(store: str | None, coin: str, horizon: str, *, as_json: bool) -> int:
    """Print one model's metadata and manifest."""
    hamilton = open_hamilton(store)
    model, metadata = hamilton.load_model(coin, horizon)
    body = {
        "metadata": metadata,
        "engines": list(model.engines),
        "features": list(model.feature_names),
        "decision": model.decision,
    }
    if as_json:
        print_json(body)
        return 0
    from rich.console import Console
    from rich.pretty import Pretty

    Console().print(Pretty(body))
    return 0


def verify_store(store: str | None, *, as_json: bool) -> int:
    """Load every model of the current set, golden rows included; status 1 when one is refused."""
    hamilton = open_hamilton(store)
    good, bad = [], []
    for member in hamilton.get_members():
        name = result_key(member.coin, member.horizon)
        try:
            hamilton.load_model(member.coin, member.horizon)
            good.append(name)
        except HuracanError as error:
            bad.append({"model": name, "code": error.code, "error": str(error)})
    if as_json:
        print_json({"verified": good, "refused": bad})
    else:
        from rich.console import Console

        console = Console()
        console.print(f"[green]{len(good)} verified[/green], {len(bad)} refused")
        for row in bad:
            console.print(f"  {row['model']}: {row['code']} {row['error']}", markup=False)
    return 1 if bad else 0


def read_features(path: Path) -> dict[str, float]:
    """Features from a JSON object; ConfigError for anything else."""
    from huracan.domain.strict import strict_json

    try:
        value = strict_json(path.read_bytes(), 1 << 20)
    except (OSError, HuracanError, ValueError) as error:
        raise ConfigError(f"--features {path}: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(
            f"--features {path}: wanted a JSON object of feature name to number, saw {type(value).__name__}"
        )
    return value


def predict_once(
    store: str | None, coin: str, horizon: str, features: Path, *, allow_candidates: bool, as_json: bool
) -> int:
    """Print one prediction."""
    hamilton = open_hamilton(store, allow_candidates=allow_candidates)
    prediction = hamilton.predict(coin, horizon, read_features(features))
    if as_json:
        print_json(prediction)
        return 0
    print(json.dumps(_brief(prediction), indent=2, ensure_ascii=False))  # not by rich, which would break long reasons
    return 0


def _brief(prediction: Any) -> dict[str, Any]:
    names = (
        "coin", "horizon", "direction", "confidence", "edge_bps", "net_edge_bps", "score", "regime",
        "position_fraction", "version", "stale", "blocked_reason",
    )  # fmt: skip
    return {name: getattr(prediction, name) for name in names}


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
