"""How long the page's server waits for a client: half-open connections may not close it to other clients."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S: Final = 10.0
"""From a connection, or the end of an answer, to the end of the next request's headers."""
ANSWER_S: Final = 120.0
"""From there to the last byte that the client has received."""


class PatientProtocol(H11Protocol):
    """Uvicorn's protocol, which limits neither wait by itself: it closes a connection that is too slow."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._limit: asyncio.TimerHandle | None = None
        self._answering = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._arm(REQUEST_S)

    def data_received(self, data: bytes) -> None:
        """A part of a request, which need not be the last."""
        super().data_received(data)
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering and not self._answering:
            self._arm(ANSWER_S)
        self._answering = answering

    def on_response_complete(self) -> None:
        """The answer is written; another request may follow."""
        super().on_response_complete()
        self._answering = False
        self._arm(REQUEST_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        if self._limit is not None:
            self._limit.cancel()
        super().connection_lost(exc)

    def _arm(self, seconds: float) -> None:
        if self._limit is not None:
            self._limit.cancel()
        self._limit = self.loop.call_later(seconds, self.transport.abort)
