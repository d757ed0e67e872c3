"""A process with everything imported and one thread: it forks a child for every request and stands at its gate.

A request is one JSON line: {"work": name in fault_work, "given": {...}, "folder": path, "gate": {...}, "out": path}; the answer
is one JSON line: {"status", "calls", "names", "operations"}. Forking a warm process makes a night cost what the night costs.
"""

import base64
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "hamilton")]

import fault_work  # noqa: E402
import syscall_gate  # noqa: E402
from power_cut import Recorder  # noqa: E402


def main() -> None:
    """Answer requests until stdin ends."""
    fault_work.warm()
    assert threading.active_count() == 1, threading.enumerate()
    print(json.dumps({"ready": os.getpid()}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Run one case."""
    gate = dict(request["gate"])
    recorder = Recorder() if gate["kind"] == "record" else None
    decide = recorder if recorder is not None else _decider(**gate)
    out = Path(request["out"])

    def work() -> int:
        _redirect(out)
        return int(getattr(fault_work, request["work"])(**request["given"]) or 0)

    watched = syscall_gate.watch(work, decide, syscall_gate.real(Path(request["folder"])))
    operations = (
        [{**op, "data": base64.b64encode(op["data"]).decode()} for op in recorder.operations] if recorder else []
    )
    return {"status": watched.status, "calls": watched.calls, "names": watched.names, "operations": operations}


def _decider(kind: str, at: int = 0, code: int = 0, once: bool = False) -> Any:
    if kind == "kill":
        return syscall_gate.kill_before(at)
    if kind == "fail":
        return syscall_gate.fail_at(at, code, once=once)
    if kind == "cut":
        return syscall_gate.cut_at(at)
    return lambda _call: None


def _redirect(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for number, name in ((1, "stdout"), (2, "stderr")):
        target = os.open(out / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(target, number)


if __name__ == "__main__":
    main()
