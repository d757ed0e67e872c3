"""`huracan predict COIN HORIZON`: one decision by Hamilton, as a card or as JSON."""

import asyncio
import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huracan.cli.output import number, print_json
from huracan.errors import ConfigError, HuracanError

if TYPE_CHECKING:
    from rich.text import Text

    from huracan.cli.model_reports import ModelCosts
    from huracan.cli.opening import Arguments
    from huracan.domain.bundle import Manifest
    from huracan.domain.json import JsonObject
    from huracan.domain.model import DecisionParameters
    from huracan.hamilton import HamiltonInterface, PredictionResult
    from huracan.operations.decide import Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a command line asks for."""

    coin: str
    horizon: str
    store: str | None = None
    workdir: Path | None = None
    config: Path | None = None
    overrides: Sequence[str] = ()
    at: str | None = None
    candidates: bool = False


def predict_from_features(asked: Asked, features: Path, *, as_json: bool) -> int:
    """Print the prediction for a row of features."""
    from huracan.cli.opening import open_hamilton

    if asked.at is not None:
        raise ConfigError("--at goes with bars that are fetched: give either --at or --features")
    hamilton = open_hamilton(asked.store, workdir=asked.workdir, allow_candidates=asked.candidates)
    prediction = hamilton.predict(asked.coin, asked.horizon, read_features(features))
    if as_json:
        print_json(prediction)
        return 0
    print(json.dumps(_brief(prediction), indent=2, ensure_ascii=False))  # not by rich, which would break long reasons
    return 0


def predict_now(asked: Asked, *, as_json: bool) -> int:
    """Fetch the bars that are missing and print the decision."""
    from huracan.cli.model_reports import costs_in
    from huracan.cli.opening import demo_moment, open_hamilton
    from huracan.domain.time import parse_iso
    from huracan.operations.decide import Moment, as_record, decide
    from huracan.settings import load_settings

    settings = load_settings(asked.config, list(asked.overrides), os.environ)
    at_ms = demo_moment(asked.store, asked.workdir) if asked.at is None else parse_iso(asked.at)
    moment = Moment()
    with ExitStack() as stack:
        more: Arguments = {"now_ms": moment}
        if at_ms is not None:  # a past moment is none that this host's clock has seen
            more["state_dir"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="huracan-at-"))
        hamilton = open_hamilton(asked.store, workdir=asked.workdir, allow_candidates=asked.candidates, **more)
        made = asyncio.run(
            decide(
                hamilton, moment, asked.coin, asked.horizon,
                settings=settings, workdir=lake_workdir(asked), at_ms=at_ms,
            )
        )  # fmt: skip
        costs = hamilton.report(asked.coin, asked.horizon, "cost_report.json")
        if as_json:
            print_json({**as_record(made), "set_version": hamilton.current_set().version, "costs": costs})
        else:
            _print(made, hamilton, costs_in(costs))
    return 0


def lake_workdir(asked: Asked) -> Path:
    """The workdir whose lake is read: as for every command, but that of a named store where there is a lake beside
    it.
    """
    from huracan.cli.places import workdir_of

    if asked.workdir is None and asked.store is not None and (Path(asked.store).parent / "lake").is_dir():
        return Path(asked.store).parent
    return workdir_of(asked.workdir)


def read_features(path: Path) -> "JsonObject":
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


def _brief(prediction: "PredictionResult") -> "JsonObject":
    names = (
        "coin", "horizon", "direction", "confidence", "edge_bps", "net_edge_bps", "score", "regime",
        "position_fraction", "version", "stale", "blocked_reason",
    )  # fmt: skip
    return {name: getattr(prediction, name) for name in names}


def _move_words(edge_bps: float) -> str:
    """Which way the price is forecast to move; a card counts profit, so a fall is one of the short side."""
    if edge_bps == 0.0:
        return "no move"
    return "by a rise" if edge_bps > 0.0 else "by a fall (the short side)"


def _print(made: "Decision", hamilton: "HamiltonInterface", costs: "ModelCosts") -> None:
    from rich.text import Text

    from huracan.cli.cards import market_words, moment_words, print_card, terminal

    said = made.prediction
    model, metadata = hamilton.load_model(said.coin, said.horizon)
    served = hamilton.current_set()
    rows: list[tuple[str, str | Text]] = [
        ("decision", _direction(said)),
        *(("" if place else "why", words) for place, words in enumerate(reasons(said, model.decision))),
        ("", ""),
        ("before cost", f"{abs(said.edge_bps):.1f} bps, {_move_words(said.edge_bps)} within {said.horizon}"),
        ("cost", f"{model.decision.cost_bps:.1f} bps a round trip{_cost_words(costs)}"),
        ("after cost", f"{said.net_edge_bps:+.1f} bps"),
        ("confidence", f"{said.confidence:.2f} (an entry wants {model.decision.min_confidence:.2f})"),
        ("position", f"{said.position_fraction:+.3f} of the coin's capital"),
        ("regime", said.regime),
        ("", ""),
        ("made at", f"{moment_words(made.decision_ms)}, {_sources(made)}"),
        ("next one", f"{moment_words(made.holds_until_ms)}: decide anew then"),
        ("exit", f"{moment_words(made.exit_ms)}, for a position that is entered now"),
        ("model", f"{metadata.status}, version {said.version}; set {served.version} of run {served.run_id}"),
        ("good until", f"{moment_words(said.valid_until)}, 48 hours after its data ended"),
    ]
    if said.stale:
        rows.append(
            ("doubt", Text("the set was signed more than 26 hours ago: has tonight's run ended?", style="yellow"))
        )
    rows += [("doubt", Text(words, style="yellow")) for words in made.doubts]
    if metadata.status == "candidate":
        rows.append(("note", Text(paper_only(hamilton.manifest(said.coin, said.horizon)), style="yellow")))
    console = terminal()
    print_card(console, f"{said.coin} {said.horizon}  {market_words(made.instrument)} {made.instrument}", rows)


def paper_only(manifest: "Manifest") -> str:
    """What to say of a candidate: what it is for, and why it is no champion."""
    from huracan.domain.proof import why_no_champion

    return f"paper trading only: {why_no_champion(manifest.evidence)}"


def _direction(said: "PredictionResult") -> "Text":
    from rich.text import Text

    words, style = {"long": ("LONG", "bold green"), "short": ("SHORT", "bold red")}.get(
        said.direction, ("no entry", "bold")
    )
    return Text(words, style=style)


def _sources(made: "Decision") -> str:
    """How many bars it rests on, and where they came from."""
    if not made.fetched:
        return f"from {made.stored:,} bars in the lake"
    return f"from {made.stored:,} bars in the lake and {made.fetched:,} fetched now"


def _cost_words(costs: "ModelCosts") -> str:
    """What the cost was made of, on average over the model's simulated round trips."""
    parts = [f"{name} {number(value)}" for name, value in costs.parts if value is not None]
    return f"; measured: {', '.join(parts)}" if parts else "; no round trip was simulated that would show its parts"


def reasons(said: "PredictionResult", rule: "DecisionParameters") -> list[str]:
    """Why nothing is to be entered, in words; none where something is."""
    if said.blocked_reason is not None:
        return [said.blocked_reason]
    if said.direction != "hold":
        return []
    if not said.votes:
        return [f"no engine has a view: the regime gate closes all of them in {said.regime}, or they abstain"]
    size, wanted = abs(said.edge_bps), rule.entry_cost_multiple * rule.cost_bps
    found = []
    if said.edge_bps < 0 and not rule.allow_short:
        found.append("the edge is on the short side, and this market is traded long or not at all")
    if abs(said.score) < rule.threshold:
        found.append(f"the engines agree too little: consensus {abs(said.score):.2f}, wanted {rule.threshold:.2f}")
    if said.confidence < rule.min_confidence:
        found.append(f"the confidence is {said.confidence:.2f}, wanted {rule.min_confidence:.2f}")
    if size <= wanted:
        found.append(
            f"the edge of {size:.1f} bps is not above {wanted:.1f}, {rule.entry_cost_multiple:g} times the cost"
        )
    if size - rule.cost_bps < rule.min_edge_after_cost_bps:
        found.append(f"after cost {size - rule.cost_bps:+.1f} bps remain, wanted {rule.min_edge_after_cost_bps:.1f}")
    return found or ["the position that the risk preset allows is nothing"]
