"""A connection to the server, which is closed if it asks nothing, or does not take its answer."""

import asyncio
import math

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS = 10.0  # to send the head of a request
PATIENCE = 60.0  # in which something of an answer must be taken


class Connection(H11Protocol):
    """One that is closed if the whole head of a request does not come in time, or nobody reads.

    uvicorn itself closes one that is silent after an answer, and no other: a hundred that never ask
    anything, or a letter of it now and then, or that leave their answers where they are, would lock
    everyone else out.
    """

    _timer: asyncio.TimerHandle | None = None
    _taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_timer()
        self.resume_writing()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._require_taking()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()  # which lets the answer go out first
        if self._taking is None:
            self._require_taking()

    def send_400_response(self, msg: str) -> None:
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:  # it has had its answer already
            self.transport.close()

    def _require_taking(self, before: float = math.inf) -> None:
        left = self.transport.get_write_buffer_size()
        if left >= before:
            self.transport.abort()
        elif left:
            self._taking = self.loop.call_later(PATIENCE, self._require_taking, left)

    def _watch(self) -> None:
        """Let the time run, from when it began to, unless a request is being answered."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_timer()
        elif self._timer is None:
            self._timer = self.loop.call_later(SECONDS, self.timeout_keep_alive_handler)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
