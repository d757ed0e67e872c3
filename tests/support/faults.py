"""The client of the fault template: cases in folders of their own, a night or a publication behind the gate."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import pytest
import syscall_gate
from nights import night_overrides, trust_variables

from huracan.worlds.exchange import ReplayExchange

NOTHING: dict[str, Any] = {"kind": "count"}


@cache
def gate_works() -> bool:
    """Whether seccomp notifications work here, asked in a fresh process: this one may have threads."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import syscall_gate; sys.exit(not syscall_gate.available())"
    command = [sys.executable, "-c", code, str(Path(syscall_gate.__file__).parent)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


needs_gate = pytest.mark.skipif("not __import__('faults').gate_works()", reason="needs Linux seccomp notifications")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a case ended with."""

    status: int
    calls: int
    names: list[str]
    operations: list[dict[str, Any]]
    out: Path

    @property
    def killed(self) -> bool:
        return self.status < 0

    def told(self) -> str:
        """Everything the process printed."""
        return "".join((self.out / name).read_text(errors="replace") for name in ("stdout", "stderr"))

    def result(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        answer: dict[str, Any] = json.loads((self.out / "stdout").read_text())
        return answer


class FaultServer:
    """Owns the template process."""

    def __enter__(self) -> Self:
        script = Path(__file__).with_name("fault_template.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert "ready" in self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def run(self, work: str, folder: Path, gate: dict[str, Any] = NOTHING, /, **given: Any) -> Outcome:
        """One case to its end."""
        folder.mkdir(parents=True, exist_ok=True)
        out = folder.with_name(f"{folder.name}.out")
        request = {"work": work, "given": given, "folder": str(folder), "gate": gate, "out": str(out)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Outcome(out=out, **self._answer())

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the fault template ended"
        answer: dict[str, Any] = json.loads(line)
        return answer


class Nights:
    """Nights of `huracan run` against one exchange, each case in its own folder."""

    def __init__(self, server: FaultServer, folder: Path, exchange: ReplayExchange, **changes: Any) -> None:
        self.server, self.folder, self.exchange = server, folder, exchange
        knobs: dict[str, Any] = {
            "training__base_interval": "1h",
            "training__lookback_days": 34,
            "training__min_history_days": 38,
            "training__quote_assets": "USDT",
            "training__max_concurrent_jobs": 1,
        }
        self.sets = [
            part for text in night_overrides(exchange.urls, **{**knobs, **changes}) for part in ("--set", text)
        ]

    def run(self, name: str, gate: dict[str, Any] = NOTHING, *more: str, **environment: str) -> Outcome:
        """Start, or start again, the night of a case."""
        self.exchange.limits._used.clear()  # a new minute: many nights a minute would rightly wait for the next one
        case = self.folder / name
        arguments = ["--workdir", str(case / "workdir"), *self.sets, *more]
        variables = {**trust_variables(case), **environment}
        return self.server.run("night", case, gate, arguments=arguments, environment=variables)

    def copy(self, source: str, name: str) -> Path:
        """A case that starts where another one ended."""
        shutil.copytree(self.folder / source, self.folder / name, symlinks=True)
        return self.folder / name

    def forget(self, name: str) -> None:
        """Remove a case's folders."""
        for path in (self.folder / name, self.folder / f"{name}.out"):
            shutil.rmtree(path, ignore_errors=True)
