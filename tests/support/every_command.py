"""Every command of the app with words that are enough to run it, and a process that runs many command lines one after another."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

SAMPLES: dict[str, str] = {
    "coin": "BTC",
    "horizon": "1h",
    "pool": "um-A",
    "note": "because",
    "shell": "bash",
}
"""Values for what a command cannot do without, by the parameter's name."""
SECONDS = 120
"""After so long a line is told as hanging; nothing is concluded from how long any takes."""
NO_NETWORK = {
    **{f"HURACAN_BINANCE__{name}_URL": "http://127.0.0.1:9" for name in ("REST", "FUTURES", "ARCHIVE")},
    "HURACAN_BINANCE__TOTAL_TIMEOUT_S": "1",
}


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command: its words, its parameters by name, and the words its required ones need."""

    words: tuple[str, ...]
    params: Mapping[str, Any]

    @property
    def name(self) -> str:
        return " ".join(self.words)

    @property
    def takes_json(self) -> bool:
        return "--json" in {name for param in self.params.values() for name in param.opts}

    def line(self, **given: str) -> list[str]:
        """A command line: samples for what is required, `given` by parameter name over them, and --json where it is taken."""
        missing = {name for name, param in self.params.items() if param.required} - {*SAMPLES, *given}
        assert not missing, f"{self.name}: put a sample of {sorted(missing)} into SAMPLES"
        wanted = {name for name, param in self.params.items() if param.required or param.param_type_name == "argument"}
        values = {name: SAMPLES[name] for name in self.params if name in wanted & set(SAMPLES) - set(given)}
        options, arguments = [], []
        for name, value in {**values, **given}.items():
            param = self.params[name]
            if param.param_type_name == "option":
                options += [f"{param.opts[0]}={value}"]
        for name, param in self.params.items():
            if param.param_type_name == "argument" and name in {**values, **given}:
                arguments.append({**values, **given}[name])
        json_ = ["--json"] if self.takes_json else []
        return [*self.words, *options, *json_, "--", *arguments] if arguments else [*self.words, *options, *json_]

    def texts(self) -> list[str]:
        """Parameters that take any text or path."""
        return [
            name
            for name, param in self.params.items()
            if not getattr(param, "is_flag", False) and param.type_descriptor.annotation not in {int, float, bool}
        ]


def every_command() -> list[Command]:
    """All commands of the app, found in the app itself."""
    from huracan.cli.main import app

    def below(node: Any, words: tuple[str, ...]) -> Iterator[Command]:
        children = getattr(node, "commands", None)
        if children is None:
            yield Command(words=words, params={param.name: param for param in node.params if param.name != "help"})
            return
        for name, child in children.items():
            yield from below(child, (*words, name))

    return list(below(typer.main.get_command(app), ()))


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a command line ended; `fault` is the traceback of what escaped, else None."""

    line: list[str]
    status: int
    out: str
    err: str
    fault: str | None

    @property
    def told(self) -> Any:
        """The one JSON object on stdout."""
        return json.loads(self.out)


def run_lines(
    lines: Sequence[Sequence[str]], *, cwd: Path, environment: Mapping[str, str], before: Sequence[str] = ()
) -> list[Ending]:
    """Run command lines one after another in one process of their own, below `before` (such as another user)."""
    place = Path(__file__)
    done = subprocess.run(
        [*before, sys.executable, "-B", str(place)],
        input=json.dumps([list(line) for line in lines]),
        cwd=cwd, env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    answers = [Ending(**json.loads(line)) for line in done.stdout.splitlines()]
    assert len(answers) == len(lines)
    return answers


def _end(line: list[str]) -> dict[str, Any]:
    from huracan.cli.main import main

    out, err, status, fault = io.StringIO(), io.StringIO(), 0, None
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(line)
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:
        status, fault = 1, traceback.format_exc()
    finally:
        signal.alarm(0)
    return {"line": line, "status": status, "out": out.getvalue(), "err": err.getvalue(), "fault": fault}


def _serve_nothing() -> None:
    """What would serve until it is interrupted ends at once where it has everything it needs."""
    import huracan.adapters.dashboard.server as server
    import huracan.worlds.serve as worlds

    server.serve_dashboard = lambda *_given, **_more: None
    worlds.serve = lambda *_given, **_more: None


def _hangs(*_: object) -> None:
    raise TimeoutError("hangs")


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, _hangs)
    sys.path.insert(0, str(Path(__file__).parent))
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    _serve_nothing()
    for each in json.load(sys.stdin):
        told.write(json.dumps(_end(each)) + "\n")
        told.flush()
