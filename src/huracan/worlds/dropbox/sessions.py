"""Upload sessions: bytes that are not a file yet."""

import secrets
from dataclasses import dataclass, field
from typing import Final

from huracan.worlds.dropbox.argument import SessionCursor
from huracan.worlds.dropbox.refusals import SessionError

LONGEST_ID: Final = 96
"""Real ids are long: what goes into a header has to reckon with it."""


@dataclass(slots=True)
class _Session:
    data: bytearray = field(default_factory=bytearray)
    closed: bool = False


class Sessions:
    """Open sessions of an account, sequential ones only."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}

    def start(self, data: bytes = b"", *, close: bool = False) -> str:
        """The id of a new session that holds these bytes."""
        name = f"pid_upload_session:{secrets.token_urlsafe(64)}"[:LONGEST_ID]
        self._sessions[name] = _Session(bytearray(data), close)
        return name

    def append(self, cursor: SessionCursor, data: bytes, *, close: bool = False) -> None:
        """Add bytes at the offset the session has reached; SessionError otherwise."""
        session = self._at(cursor, data_follows=bool(data) or close)
        session.data += data
        session.closed |= close

    def content(self, cursor: SessionCursor, *, closed: bool) -> bytes:
        """The bytes of a session that ends at this offset; SessionError otherwise."""
        session = self._at(cursor, data_follows=False)
        if closed and not session.closed:
            raise SessionError("not_closed")
        return bytes(session.data)

    def forget(self, cursor: SessionCursor) -> None:
        """The session became a file."""
        self._sessions.pop(cursor.session_id, None)

    def _at(self, cursor: SessionCursor, *, data_follows: bool) -> _Session:
        session = self._sessions.get(cursor.session_id)
        if session is None:
            raise SessionError("not_found")
        if data_follows and session.closed:
            raise SessionError("closed")
        if cursor.offset != len(session.data):
            raise SessionError("incorrect_offset", correct_offset=len(session.data))
        return session
