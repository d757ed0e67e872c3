"""The documented Dropbox publisher: single champions as versions of their own, uploaded or, in a dry run, planned."""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from pydantic import SecretStr

from huracan.adapters.publishers.dropbox_access import DropboxAccess, checked_base_path
from huracan.adapters.publishers.dropbox_store import DropboxStore
from huracan.domain.bundle import MANIFEST_FILE, MODEL_FILE, bundle_folder
from huracan.domain.ids import path_segment
from huracan.domain.json import JsonObject
from huracan.errors import FencedError
from huracan.export.contract import ExportBundle
from huracan.export.plan import as_bytes, plan_bundle
from huracan.ports import RemoteStore

_IN_VERSION: Final = re.compile(r"models/([^/]+)/([^/]+)/v([1-9][0-9]*)/([^/]+)")
_TRIES: Final = 5
"""Names to try when others take them while we write."""


class DropboxPublisher:
    """Publishes `{base_path}/models/{coin}/{horizon}/v{n}/` and `{base_path}/summaries/`; nothing is ever overwritten.

    In a dry run `planned` maps every path to its bytes and no credentials are needed. Without an access token they come
    from the environment: ``DROPBOX_REFRESH_TOKEN``, ``DROPBOX_APP_KEY``, ``DROPBOX_APP_SECRET``. `store` replaces the
    one they open. Raises ConfigError for credentials that are missing, PublishError for an upload that is not complete.
    """

    def __init__(
        self,
        access_token: str | SecretStr | None,
        base_path: str = "/HuracanEngine",
        dry_run: bool = False,
        *,
        store: RemoteStore | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.base_path = checked_base_path(base_path)
        self._token = (
            SecretStr(access_token) if isinstance(access_token, str) and access_token else access_token or None
        )
        self.dry_run = dry_run
        self.planned: dict[str, bytes] = {}
        self._store, self._now = store, now

    def publish_bundle(self, bundle: ExportBundle) -> bool:
        """Publish one champion as the next version of its (coin, horizon): True when all of it stands.

        The manifest is written last, by itself: a version without one is not complete, and its number is not used
        again.
        """
        folder = bundle_folder(bundle.coin, bundle.horizon, 1).removesuffix("/v1")
        newest = max((int(match[3]) for match in self._matches(folder)), default=0)
        for version in range(newest + 1, newest + 1 + _TRIES):
            try:
                return self._publish(bundle, version)
            except FencedError:
                # A listing may lag behind: this version is another run's, which came first.
                if version == newest + _TRIES:
                    raise
        raise AssertionError

    def publish_summary(self, summary: JsonObject) -> bool:
        """Publish a summary under its own name; one of the same second gets a number."""
        data = as_bytes(dict(summary), "summary")
        stem = f"summaries/{self._now().astimezone(UTC).strftime('%Y%m%d_%H%M%S')}"
        number = 1
        while True:
            path = f"{stem}_summary.json" if number == 1 else f"{stem}_{number}_summary.json"
            try:
                self._write([(path, data)])
            except FencedError:
                number += 1
            else:
                return True

    def list_models(self, coin: str | None = None, horizon: str | None = None) -> list[str]:
        """Folders of complete versions, oldest first within a (coin, horizon)."""
        folder = "models" if coin is None else f"models/{path_segment(coin)}"
        found = sorted(
            (match[1], match[2], int(match[3]))
            for match in self._matches(folder)
            if match[4] == MANIFEST_FILE and horizon in {None, match[2]}
        )
        return [f"{self.base_path}/models/{where}/{term}/v{version}" for where, term, version in found]

    def _publish(self, bundle: ExportBundle, version: int) -> bool:
        path = f"{bundle_folder(bundle.coin, bundle.horizon, version)}/{MODEL_FILE}"
        manifest = replace(bundle.model_manifest, version=version, model_path=path)
        files = replace(bundle, model_manifest=manifest).files()
        *others, last = plan_bundle(bundle.coin, bundle.horizon, version, files).items()
        self._write(others)
        self._write([last])
        return True

    def _write(self, files: Iterable[tuple[str, bytes]]) -> None:
        if not self.dry_run:
            self._opened().write_new(files)
            return
        new = {f"{self.base_path}/{path}": data for path, data in files}
        for path, data in new.items():
            if self.planned.get(path, data) != data:
                raise FencedError(f"{path} is planned with other bytes; it is immutable")
        self.planned |= new

    def _matches(self, folder: str) -> list[re.Match[str]]:
        below = len(self.base_path) + 1
        paths = [path[below:] for path in self.planned] if self.dry_run else self._opened().files(folder)
        return [
            match
            for path in paths
            if path.startswith(f"{folder}/") and (match := _IN_VERSION.fullmatch(path)) is not None
        ]

    def _opened(self) -> RemoteStore:
        if self._store is None:
            self._store = DropboxStore(DropboxAccess.from_environment(os.environ, self._token), self.base_path)
        return self._store
