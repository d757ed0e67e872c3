"""The documented Dropbox publisher: plans the tree; this release does not upload it.

The plan is exact (paths, bytes, versions, order), so a dry run shows what would be there.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from huracan.domain.bundle import MODEL_FILE, bundle_folder
from huracan.domain.ids import path_segment
from huracan.errors import ConfigError, PublishError
from huracan.export.contract import ExportBundle
from huracan.export.plan import as_bytes, plan_bundle

_VERSION_FOLDER = re.compile(r".*/models/([^/]+)/([^/]+)/v([1-9][0-9]*)/[^/]+")


class DropboxPublisher:
    """Plans `{base_path}/models/{coin}/{horizon}/v{n}/` and `{base_path}/summaries/`; versions are never overwritten.

    `planned` maps every path of a dry run to its bytes. Without `dry_run` the publishing methods raise PublishError:
    uploading belongs to the extra ``[dropbox]``.
    """

    def __init__(
        self,
        access_token: str | SecretStr | None,
        base_path: str = "/HuracanEngine",
        dry_run: bool = False,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if not base_path.startswith("/") or "//" in base_path or ".." in base_path.split("/"):
            raise ConfigError(f"dropbox.base_path is {base_path!r}, wanted an absolute path such as '/HuracanEngine'")
        self._token = access_token if isinstance(access_token, SecretStr | None) else SecretStr(access_token)
        self.base_path = base_path.rstrip("/")
        self.dry_run = dry_run
        self.planned: dict[str, bytes] = {}
        self._now = now

    def publish_bundle(self, bundle: ExportBundle) -> bool:
        """Plan one champion as the next version of its (coin, horizon); True when it stands complete."""
        self._refuse_upload()
        version = 1 + max(self._versions(bundle.coin, bundle.horizon), default=0)
        path = f"{bundle_folder(bundle.coin, bundle.horizon, version)}/{MODEL_FILE}"
        manifest = replace(bundle.model_manifest, version=version, model_path=path)
        files = replace(bundle, model_manifest=manifest).files()
        plan = plan_bundle(bundle.coin, bundle.horizon, version, files)
        self.planned |= {f"{self.base_path}/{name}": data for name, data in plan.items()}
        return True

    def publish_summary(self, summary: Mapping[str, Any]) -> bool:
        """Plan a summary under its own name; one of the same second gets a number."""
        self._refuse_upload()
        data = as_bytes(dict(summary), "summary")
        stem = f"{self.base_path}/summaries/{self._now().astimezone(UTC).strftime('%Y%m%d_%H%M%S')}"
        path, number = f"{stem}_summary.json", 1
        while self.planned.get(path, data) != data:
            number += 1
            path = f"{stem}_{number}_summary.json"
        self.planned[path] = data
        return True

    def list_models(self, coin: str | None = None, horizon: str | None = None) -> list[str]:
        """Version folders that stand in the plan, oldest version first within a (coin, horizon)."""
        self._refuse_upload()
        found = {
            (match[1], match[2], int(match[3]))
            for path in self.planned
            if (match := _VERSION_FOLDER.fullmatch(path))
            and (coin is None or match[1] == path_segment(coin))
            and horizon in {None, match[2]}
        }
        return [f"{self.base_path}/models/{where}/{term}/v{version}" for where, term, version in sorted(found)]

    def _versions(self, coin: str, horizon: str) -> list[int]:
        return [int(folder.rsplit("/v", 1)[1]) for folder in self.list_models(coin, horizon)]

    def _refuse_upload(self) -> None:
        if not self.dry_run:
            raise PublishError(
                "uploading to Dropbox needs the extra huracan-engine[dropbox], which this release does not ship yet;"
                " nothing was uploaded. Use dry_run=True to see the tree, or publish to the folder store and copy it."
            )
