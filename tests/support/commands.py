"""`huracan run` as a command, many nights side by side: each in a folder of its own, all against one exchange."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nights import night_overrides, tree_hashes, trust_variables


@dataclass(frozen=True, kw_only=True)
class Commands:
    """Starts nights on hourly bars below `folder`; a name is one user's folders, whatever runs there one after another."""

    folder: Path
    urls: Any
    workers: int
    max_coins: int = 9
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, name: str, kind: str = "asyncio") -> subprocess.Popen[bytes]:
        """One night, under way."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HURACAN_")}
        sizes = {"base_interval": "1h", "lookback_days": 34, "num_workers": self.workers, "max_coins": self.max_coins}
        changes = {f"training__{key}": value for key, value in sizes.items()}
        sets = [part for text in night_overrides(self.urls, **changes) for part in ("--set", text)]
        command = [sys.executable, "-m", "huracan.cli.main", "run", "--json", "--backend", kind]
        with (folder / "out.json").open("w") as out, (folder / "err.txt").open("a") as err:
            return subprocess.Popen(
                [*command, "--workdir", str(folder / "workdir"), *sets],
                stdout=out,
                stderr=err,
                env={**kept, **trust_variables(folder), **self.environment},
            )

    def finish(self, name: str, kind: str = "asyncio") -> None:
        """One night from start to its good end."""
        assert self.start(name, kind).wait(timeout=300) == 0, self.told(name)

    def told(self, name: str) -> str:
        """The end of everything written to stderr below a name."""
        return (self.folder / name / "err.txt").read_text()[-3000:]

    def answer(self, name: str) -> dict[str, Any]:
        """What the last night printed."""
        answer: dict[str, Any] = json.loads((self.folder / name / "out.json").read_text())
        return answer

    def models(self, name: str) -> dict[str, str]:
        """sha256 of every file of every published bundle."""
        return tree_hashes(self.folder / name / "workdir" / "store" / "models")
