"""Secrets that nobody has, for every slot where a user may have one; ``--canary`` sets them for a whole session.

With ``--canary`` everything that tests print, log and leave in temporary folders is searched for them, raw and encoded; the
session fails on the first hit. Key folders are left out: a passphrase protects what lies there and is not in it.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

CANARIES: Final = {
    name: f"canary+{number:02d}/{name[::-1].lower()}=Zq9"
    for number, name in enumerate(
        (
            "DROPBOX_ACCESS_TOKEN",
            "DROPBOX_REFRESH_TOKEN",
            "DROPBOX_APP_KEY",
            "DROPBOX_APP_SECRET",
            "HURACAN_ROOT_PASSPHRASE",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AZURE_STORAGE_ACCOUNT_KEY",
            "AZURE_CLIENT_SECRET",
            "GOOGLE_SERVICE_ACCOUNT_KEY",
            "HURACAN_DASHBOARD_TOKEN",
            "BINANCE_API_KEY",
            "BINANCE_API_SECRET",
            "EXCHANGE_URL",
            "PUSHGATEWAY_URL",
        )
    )
}
"""Secret by slot; plus sign, slash and equals sign, because those are what encodings change."""

_IN_URLS: Final = {"EXCHANGE_URL", "PUSHGATEWAY_URL"}
_OURS: Final = {"HURACAN_DASHBOARD_TOKEN"}  # set by its own tests: an unknown HURACAN_ name is an error by design
SLOTS: Final = {name: secret for name, secret in CANARIES.items() if name not in _IN_URLS | _OURS}
"""What goes into the environment as it is."""

EVERYWHERE: Final = {name: secret for name, secret in SLOTS.items() if not name.startswith("DROPBOX_")}
"""Of these, what a whole session may hold: with a Dropbox token every run would publish to Dropbox."""


def add_options(parser: pytest.Parser) -> None:
    """Options of this plugin."""
    parser.getgroup("guarantees").addoption(
        "--canary", action="store_true", help="Search all output for planted secrets."
    )


class CanaryPlugin:
    """Plants, logs at DEBUG, and searches what each test and the whole session left."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.hits: list[str] = []
        self.before = {name: os.environ.get(name) for name in EVERYWHERE}
        os.environ.update(EVERYWHERE)
        logging.getLogger().setLevel(logging.DEBUG)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        report: Any = yield
        # What a test is told to expect may be a secret of its own making; only ours are looked for.
        self._search({f"{item.nodeid} {title}": text.encode(errors="replace") for title, text in report.sections})
        return report

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        from invariants import everything_written

        base = self._folder()
        if base is not None:
            keys = [path for path in base.rglob("keys") if path.is_dir()]
            self._search(everything_written(base, but=keys))
        for name, value in self.before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput["canaries"] = self.hits
        elif self.hits:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self.hits += getattr(node, "workeroutput", {}).get("canaries", [])

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.write_line(f"canaries: {len(self.hits)} found")
        for hit in self.hits[:50]:
            terminalreporter.write_line(f"  {hit}")

    def _search(self, texts: dict[str, bytes]) -> None:
        from invariants import secrets_found

        self.hits += secrets_found(texts, CANARIES)

    def _folder(self) -> Path | None:
        factory = getattr(self.config, "_tmp_path_factory", None)
        return factory.getbasetemp() if factory is not None else None


def configure(config: pytest.Config) -> None:
    """Register the plugin where it was asked for."""
    if config.getoption("--canary"):
        config.pluginmanager.register(CanaryPlugin(config), "canaries")
