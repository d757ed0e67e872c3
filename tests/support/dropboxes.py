"""What tests of publishing to Dropbox share: stores and SDK clients that talk to a server on loopback only."""

import copy
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dropbox
from pydantic import SecretStr

from huracan.adapters.publishers.dropbox_access import DropboxAccess, DropboxEndpoint, Patience
from huracan.adapters.publishers.dropbox_calls import _Transport
from huracan.adapters.publishers.dropbox_store import DropboxStore
from huracan.adapters.publishers.folder import FolderStore
from huracan.worlds.dropbox import DropboxServer

if TYPE_CHECKING:
    from nights import FinishedNight

IMPATIENT = Patience(answer_s=20.0, total_s=40.0, first_wait_s=0.001, longest_wait_s=0.01)
POINTER = "metadata/timestamp.json"


def access(server: DropboxServer, **changes: str | None) -> DropboxAccess:
    """The credentials of the server's app, some of them changed."""
    app = server.tokens.app
    given = {"refresh_token": app.refresh_token, "app_key": app.key, "app_secret": app.secret, **changes}
    return DropboxAccess(**{name: SecretStr(value) for name, value in given.items() if value is not None})


def store_on(server: DropboxServer, base_path: str = "/HuracanEngine", patience: Patience = IMPATIENT, **changes: Any):
    """A store on the server, by a client of its own."""
    endpoint = DropboxEndpoint(host=server.host, ca_file=server.ca_file)
    return DropboxStore(access(server, **changes), base_path, endpoint=endpoint, patience=patience)


def sdk_on(server: DropboxServer, **changes: Any) -> dropbox.Dropbox:
    """The official client, unchanged: only its session knows where the server is."""
    session = dropbox.create_session(ca_certs=str(server.ca_file))
    session.trust_env = False
    session.mount("https://", _Transport(server.host))
    app = server.tokens.app
    given = {"oauth2_refresh_token": app.refresh_token, "app_key": app.key, "app_secret": app.secret, **changes}
    return dropbox.Dropbox(session=session, max_retries_on_error=0, max_retries_on_rate_limit=0, timeout=5, **given)


def publishing(store: Any, files: dict[str, bytes], pointer: bytes) -> Iterator[str]:
    """The steps of a publication, one a turn: know the pointer, bring what never changes, swap the pointer."""
    there = store.read(POINTER, 1 << 20)
    yield "read"
    if there is not None and there[0] == pointer:
        return
    store.write_new(files.items())
    yield "written"
    store.swap(POINTER, pointer, None if there is None else there[1].revision)


def publish(store: Any, files: dict[str, bytes], pointer: bytes) -> None:
    """All steps at once."""
    for _ in publishing(store, files, pointer):
        pass


def by_way_of_dropbox(night: "FinishedNight", server: DropboxServer, folder: Path) -> "FinishedNight":
    """The night with the store that comes back from Dropbox after its own was uploaded: other clients, other folder."""
    local = FolderStore(night.store)
    tree = {path: local.read(path) for path in local.list("")}
    uploading, downloading = store_on(server), store_on(server)
    uploading.preflight()
    publish(uploading, {path: data for path, data in tree.items() if path != POINTER}, tree[POINTER])
    listed = downloading.files("")
    assert {path: file.size for path, file in listed.items()} == {path: len(data) for path, data in tree.items()}

    shutil.copytree(night.folder, folder, ignore=shutil.ignore_patterns("store"), dirs_exist_ok=True)
    copied = replace(night, folder=folder, result=copy.deepcopy(night.result))
    for path in listed:
        data, _ = downloading.read(path, 64 << 20)
        assert data == tree[path], path
        (copied.store / path).parent.mkdir(parents=True, exist_ok=True)
        (copied.store / path).write_bytes(data)
    for row in [*copied.result["champions"].values(), *copied.result["candidates"].values()]:
        row["path"] = str(folder / Path(row["path"]).relative_to(night.folder))
    for key in ("summary_path", "report"):
        copied.result[key] = str(folder / Path(copied.result[key]).relative_to(night.folder))
    uploading.close()
    downloading.close()
    return copied
