"""The connections of viewers: a thread each, so many at a time, all of which can be ended at once."""

from __future__ import annotations

import logging
import socket
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from hprnet_rt.live.access import Access
from hprnet_rt.live.feed import PictureFeed
from hprnet_rt.live.last_minute import LastMinute

__all__ = ["MAX_VIEWERS", "Connections", "Connections6"]

_log = logging.getLogger(__name__)

MAX_VIEWERS: Final = 16
_MAX_CONNECTIONS: Final = 4 * MAX_VIEWERS  # each has a thread


class Connections(ThreadingHTTPServer):
    """Keeps its connections, so that they can be ended.

    Attributes:
        feed: the pictures to show.
        keypoints: those that viewers may have, None for none.
        access: who is let in.
    """

    allow_reuse_address = sys.platform != "win32"  # there, it would share a port that is taken
    allow_reuse_port = False
    daemon_threads = True
    feed: PictureFeed
    keypoints: LastMinute | None = None
    access: Access

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._open: dict[
            threading.Thread, socket.socket
        ] = {}  # touched by the accepting thread, then by close
        self._seats = threading.BoundedSemaphore(MAX_VIEWERS)
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind without a look-up of this machine's name, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread that `hang_up` can join."""
        self._open = {thread: connection for thread, connection in self._open.items() if thread.is_alive()}
        if len(self._open) >= _MAX_CONNECTIONS:
            self.shutdown_request(request)
            return
        thread = threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            name="hprnet-viewer",
            daemon=True,
        )
        thread.start()
        self._open[thread] = request

    def hang_up(self) -> list[threading.Thread]:
        """End all connections, once no more are accepted, and return their threads."""
        for connection in self._open.values():
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # its thread, or the viewer, was faster
        return list(self._open)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Log errors, but not of the network: a viewer has left."""
        if not isinstance(sys.exc_info()[1], OSError):
            _log.warning("a viewer's request failed", exc_info=True)

    def take_seat(self) -> bool:
        """Take a seat for one more viewer, and return whether one was free; give it back by `leave_seat`."""
        return self._seats.acquire(blocking=False)

    def leave_seat(self) -> None:
        """Make room for another viewer."""
        self._seats.release()


class Connections6(Connections):
    """Connections over IPv6."""

    address_family = socket.AF_INET6
