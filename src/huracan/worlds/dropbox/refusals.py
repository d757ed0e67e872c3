"""What the server refuses, in the shapes of the API: 409 with a tagged union, 401, 400 with text, 429."""

import json
from typing import Literal

from huracan.domain.json import Json, JsonObject

LimitReason = Literal["too_many_requests", "too_many_write_operations"]


class RefusedError(Exception):
    """Any answer that is not a success: status, body, headers."""

    def __init__(self, status: int, body: Json, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status, self.headers = status, headers or {}
        self.text = body if isinstance(body, str) else None
        self.body = body.encode() if isinstance(body, str) else json.dumps(body).encode()


class PathLookupError(Exception):
    """A path that cannot be read; `tag` is one of LookupError's."""

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.tag = tag


class PathWriteError(Exception):
    """A path that cannot be written; `tags` lead into WriteError, such as conflict, file."""

    def __init__(self, *tags: str) -> None:
        super().__init__(*tags)
        self.tags = tags


class SessionError(Exception):
    """An upload session that does not take this; `error` is the union of UploadSessionLookupError."""

    def __init__(self, tag: str, **fields: int) -> None:
        super().__init__(tag)
        self.error: JsonObject = {".tag": tag, **fields}


def nested(*tags: str) -> JsonObject:
    """A union within a union within a union.

    >>> nested("path", "not_found")
    {'.tag': 'path', 'path': {'.tag': 'not_found'}}
    """
    error: JsonObject = {".tag": tags[-1]}
    for tag in reversed(tags[:-1]):
        error = {".tag": tag, tag: error}
    return error


def route_error(error: JsonObject) -> RefusedError:
    """409: the route's own error."""
    return RefusedError(409, {"error_summary": f"{'/'.join(_tags(error))}/...", "error": error})


def bad_request(route: str, problem: str) -> RefusedError:
    """400: text, not JSON."""
    return RefusedError(400, f'Error in call to API function "{route}": {problem}')


def unauthorized(tag: str, **fields: str) -> RefusedError:
    """401 of an access token."""
    return RefusedError(401, {"error_summary": f"{tag}/...", "error": {".tag": tag, **fields}})


def limited(reason: LimitReason, retry_after_s: int) -> RefusedError:
    """429, with the wait in the body and the header."""
    error: JsonObject = {"reason": {".tag": reason}, "retry_after": retry_after_s}
    body: JsonObject = {"error_summary": f"{reason}/...", "error": error}
    return RefusedError(429, body, {"Retry-After": str(retry_after_s)})


def _tags(error: JsonObject) -> list[str]:
    tag = str(error[".tag"])
    inner = error.get(tag, error.get("reason"))
    return [tag, *(_tags(inner) if isinstance(inner, dict) else [])]
