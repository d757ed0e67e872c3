"""The routes of the API that publishing needs: what each needs, takes and answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from huracan.domain.json import Json, JsonObject
from huracan.worlds.dropbox.account import Account
from huracan.worlds.dropbox.argument import Argument
from huracan.worlds.dropbox.faults import Fault
from huracan.worlds.dropbox.refusals import PathLookupError, PathWriteError, bad_request, nested, route_error
from huracan.worlds.dropbox.tree import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A call: the account, the route's argument, uploaded bytes, and the fault to commit inside, if any."""

    account: Account
    route: str
    arg: Argument
    body: bytes = b""
    fault: Fault | None = None

    @property
    def stored(self) -> bytes:
        """The uploaded bytes as they arrive."""
        if self.fault is not None and self.fault.kind == "corrupt" and self.body:
            return self.body[:-1] + bytes([self.body[-1] ^ 1])
        return self.body


@dataclass(frozen=True, slots=True)
class Reply:
    """A success: JSON, and the bytes of a download."""

    value: Json
    data: bytes | None = None


Answer = Callable[[Request], Reply]


@dataclass(frozen=True, slots=True)
class Route:
    """What a route needs, where its argument is, and whether it commits to the namespace."""

    answer: Answer
    scope: str
    style: Literal["rpc", "upload", "download"] = "rpc"
    commits: bool = False


def untagged(metadata: JsonObject) -> JsonObject:
    """Without the tag, for a route whose type is FileMetadata itself."""
    return {name: value for name, value in metadata.items() if name != ".tag"}


def get_metadata(request: Request) -> Reply:
    """files/get_metadata."""
    return Reply(_found(request, "path").metadata())


def list_folder(request: Request) -> Reply:
    """files/list_folder."""
    path = request.arg.text("path")
    if path == "/":
        raise bad_request(request.route, 'path: Specify the root folder as an empty string rather than as "/".')
    stale = request.fault is not None and request.fault.kind == "stale_listing"
    ago = request.fault.commits if stale and request.fault is not None else 0
    recursive, limit = request.arg.flag("recursive"), request.arg.optional_number("limit")
    try:
        return Reply(request.account.open_listing(path, recursive=recursive, limit=limit, commits_ago=ago))
    except PathLookupError as error:
        raise route_error(nested("path", error.tag)) from None


def list_folder_continue(request: Request) -> Reply:
    """files/list_folder/continue."""
    return Reply(request.account.next_listing(request.arg.text("cursor")))


def download(request: Request) -> Reply:
    """files/download."""
    entry = _found(request, "path")
    if entry.data is None:
        raise route_error(nested("path", "not_file"))
    return Reply(untagged(entry.metadata()), entry.data)


def delete(request: Request) -> Reply:
    """files/delete_v2."""
    with request.account.commit(request.route, request.fault) as tree:
        try:
            return Reply(
                {"metadata": tree.delete(request.arg.text("path"), request.arg.optional_text("parent_rev")).metadata()}
            )
        except PathLookupError as error:
            raise route_error(nested("path_lookup", error.tag)) from None
        except PathWriteError as error:
            raise route_error(nested("path_write", *error.tags)) from None


def delete_batch(request: Request) -> Reply:
    """files/delete_batch: a job."""
    results: list[JsonObject] = []
    with request.account.commit(request.route, request.fault) as tree:
        for entry in request.arg.parts("entries"):
            try:
                results.append({".tag": "success", "metadata": tree.delete(entry.text("path")).metadata()})
            except PathLookupError as error:
                results.append({".tag": "failure", "failure": nested("path_lookup", error.tag)})
    return Reply(request.account.start_job({"entries": results}))


def delete_batch_check(request: Request) -> Reply:
    """files/delete_batch/check."""
    return Reply(request.account.job(request.arg.text("async_job_id")))


def create_folder(request: Request) -> Reply:
    """files/create_folder_v2."""
    with request.account.commit(request.route, request.fault) as tree:
        try:
            made = tree.make_folder(request.arg.text("path"), autorename=request.arg.flag("autorename"))
        except PathWriteError as error:
            raise route_error(nested("path", *error.tags)) from None
    return Reply({"metadata": made.metadata()})


def move(request: Request) -> Reply:
    """files/move_v2."""
    source, target = request.arg.text("from_path"), request.arg.text("to_path")
    if f"{target.lower()}/".startswith(f"{source.lower()}/"):
        raise route_error({".tag": "duplicated_or_nested_paths"})
    with request.account.commit(request.route, request.fault) as tree:
        try:
            moved = tree.move(source, target, autorename=request.arg.flag("autorename"))
        except PathLookupError as error:
            raise route_error(nested("from_lookup", error.tag)) from None
        except PathWriteError as error:
            raise route_error(nested("to", *error.tags)) from None
    return Reply({"metadata": moved.metadata()})


def space_usage(request: Request) -> Reply:
    """users/get_space_usage."""
    tree = request.account.tree
    return Reply({"used": tree.used, "allocation": {".tag": "individual", "allocated": tree.quota}})


def current_account(request: Request) -> Reply:
    """users/get_current_account."""
    del request
    name = {"given_name": "Test", "surname": "Owner", "familiar_name": "Test"}
    return Reply(
        {
            "account_id": "dbid:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "name": {**name, "display_name": "Test Owner", "abbreviated_name": "TO"},
            "email": "owner@example.test",
            "email_verified": True,
            "disabled": False,
            "locale": "en",
            "referral_link": "https://example.test/r",
            "is_paired": False,
            "account_type": {".tag": "basic"},
            "root_info": {".tag": "user", "root_namespace_id": "1", "home_namespace_id": "1"},
        }
    )


def check_user(request: Request) -> Reply:
    """check/user: an echo."""
    return Reply({"result": request.arg.optional_text("query") or ""})


_READ: Final = "files.metadata.read"
_WRITE: Final = "files.content.write"

ROUTES: Final[dict[str, Route]] = {
    "check/user": Route(check_user, "account_info.read"),
    "users/get_current_account": Route(current_account, "account_info.read"),
    "users/get_space_usage": Route(space_usage, "account_info.read"),
    "files/get_metadata": Route(get_metadata, _READ),
    "files/list_folder": Route(list_folder, _READ),
    "files/list_folder/continue": Route(list_folder_continue, _READ),
    "files/download": Route(download, "files.content.read", "download"),
    "files/delete_v2": Route(delete, _WRITE, commits=True),
    "files/delete_batch": Route(delete_batch, _WRITE, commits=True),
    "files/delete_batch/check": Route(delete_batch_check, _WRITE),
    "files/create_folder_v2": Route(create_folder, _WRITE, commits=True),
    "files/move_v2": Route(move, _WRITE, commits=True),
}


def _found(request: Request, tag: str) -> Entry:
    try:
        return request.account.tree.get(request.arg.text("path"))
    except PathLookupError as error:
        raise route_error(nested(tag, error.tag)) from None
