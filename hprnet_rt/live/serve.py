"""An HTTP server of pictures: a machine without a display is watched from another one."""

from __future__ import annotations

import json
import logging
import socket
import socketserver
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from hprnet_rt.errors import OutputError, UsageError
from hprnet_rt.files import reason
from hprnet_rt.live.access import Access, choose_token
from hprnet_rt.live.feed import PictureFeed, Status
from hprnet_rt.live.page import PAGE
from hprnet_rt.types import ImageArray

__all__ = ["MAX_VIEWERS", "PictureServer"]

_log = logging.getLogger(__name__)

MAX_VIEWERS: Final = 16
_MAX_CONNECTIONS: Final = 4 * MAX_VIEWERS  # each has a thread
_QUALITY: Final = 80
_BOUNDARY: Final = b"picture"
_SEND_BUFFER: Final = 1 << 18  # bytes; a large one would hold old pictures for a slow viewer
_STALLED_S: Final = 10.0  # a viewer who takes no byte for this long is disconnected
_REPEAT_S: Final = 1.0  # the last picture is sent again, which finds out viewers who have gone
_FIRST_S: Final = 5.0
_POLL_S: Final = 0.1
_JOIN_S: Final = 0.8
_WILDCARDS: Final = ("", "0.0.0.0", "::")  # noqa: S104
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src 'self' data:; "
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the address may hold the token
    "X-Content-Type-Options": "nosniff",
}


class PictureServer:
    """Shows the newest picture to up to 16 browsers, over HTTP.

    `/` is a page, `/stream` the pictures as motion JPEG, `/status.json` the status of the last one. On an
    address that other machines can reach, viewers need the token in `url`; the connection is not encrypted.

    Args:
        port: 0 for a free one.
        host: the address to listen on; "0.0.0.0" can be reached from other machines.
        token: viewers need it, on a loopback address too; None makes one unless the address is a loopback.

    Raises:
        UsageError: the port is not from 0 to 65535, or the token does not fit into an address.
        OutputError: the port is taken, or the system refuses the address.
    """

    def __init__(self, port: int, *, host: str = "127.0.0.1", token: str | None = None) -> None:
        if not 0 <= port <= 65_535:
            raise UsageError(f"a port is a number from 0 to 65535, got {port}")
        token = choose_token(host, token)
        self._feed = PictureFeed(_QUALITY)
        try:
            self._server = (_Server6 if ":" in host else _Server)((host, port), _Handler)
        except (OSError, UnicodeError) as error:
            raise OutputError(
                f"cannot show pictures on {host} port {port}: {reason(error)}; "
                "choose another port, 0 for any free one, or another address"
            ) from error
        self._port = int(self._server.server_address[1])
        self._server.feed = self._feed
        self._server.access = Access(host, token, f"hprnet_rt_{self._port}")
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="hprnet-serve", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The address to open in a browser, with the token when viewers need one."""
        access = self._server.access
        host = _own_address() if access.host in _WILDCARDS else access.host
        query = "" if access.token is None else f"?token={access.token}"
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}/{query}"

    def show(self, image_bgr: ImageArray, status: Status) -> None:
        """Replace the picture, and return at once: a viewer's thread encodes it, if anyone watches.

        Args:
            image_bgr: (H, W, 3) uint8. It is kept, not copied: do not modify it afterwards.
            status: for `/status.json`; the page begins with `fps` and `age_ms`. The server adds `pictures`,
                the number shown, and `quiet_s`, the seconds since the last of them.

        Raises:
            ShapeError: the picture has another shape or type, or a side above 65500 px.
        """
        self._feed.show(image_bgr, status)

    def close(self) -> None:
        """End all connections and threads, within a second; further calls do nothing."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._feed.close()
            self._server.shutdown()
            self._server.server_close()
            deadline_s = time.perf_counter() + _JOIN_S
            threads = [self._thread, *self._server.hang_up()]
            for thread in threads:
                thread.join(max(0.0, deadline_s - time.perf_counter()))
            stuck = sum(thread.is_alive() for thread in threads)
            if stuck:
                _log.warning("%d threads of viewers did not end within %.1f s", stuck, _JOIN_S)


def _own_address() -> str:
    """Return this machine's address on its default network, or its name without a network."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # an address for documentation; a datagram socket sends nothing
            return str(probe.getsockname()[0])
    except OSError:
        return socket.gethostname()


class _Server(ThreadingHTTPServer):
    """Keeps its connections, so that they can be ended."""

    allow_reuse_address = sys.platform != "win32"  # there, it would share a port that is taken
    allow_reuse_port = False
    daemon_threads = True
    feed: PictureFeed
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


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    """Answers one request of a viewer."""

    server: _Server
    timeout = _STALLED_S
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer with the page, the status or the stream that the address names."""
        path, _, query = self.path.partition("?")
        access = self.server.access
        has_token = access.has_token(query)
        if not access.allows_host(self.headers.get("Host", "")):
            self.send_error(HTTPStatus.FORBIDDEN, "Open this by the name localhost")
        elif not has_token and not access.allows_cookie(self.headers.get("Cookie", "")):
            self.send_error(
                HTTPStatus.FORBIDDEN, "The address needs its token: open the one that was printed"
            )
        elif path == "/":
            self._send("text/html; charset=utf-8", PAGE, remember=has_token)
        elif path == "/status.json":
            self._send("application/json", json.dumps(self.server.feed.status()), remember=has_token)
        elif path == "/stream":
            self._stream(remember=has_token)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    do_HEAD = do_GET  # noqa: N815

    def _head(self, content_type: str, remember: bool, length: int | None = None) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if remember:
            access = self.server.access
            cookie = f"{access.cookie}={access.token}; HttpOnly; SameSite=Strict; Path=/"
            self.send_header("Set-Cookie", cookie)
        self.end_headers()

    def _send(self, content_type: str, text: str, *, remember: bool) -> None:
        body = text.encode()
        self._head(content_type, remember, len(body))
        if self.command != "HEAD":
            self.wfile.write(body)

    def _stream(self, *, remember: bool) -> None:
        """Send the newest picture, again and again; those that come while one is being sent are skipped."""
        content_type = f"multipart/x-mixed-replace; boundary={_BOUNDARY.decode()}"
        if self.command == "HEAD":
            self._head(content_type, remember)
            return
        if not self.server.take_seat():
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, f"{MAX_VIEWERS} viewers are here already")
            return
        try:
            picture = self.server.feed.newest(0, _FIRST_S)
            if picture is None:
                self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, "There is no picture yet")
                return
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            self._head(content_type, remember)
            self.wfile.write(b"--%b\r\n" % _BOUNDARY)
            while picture is not None:
                number, jpeg = picture
                head = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                # Browsers draw a picture when they see the boundary after it.
                self.wfile.write(b"%b%b\r\n--%b\r\n" % (head, jpeg, _BOUNDARY))
                picture = self.server.feed.newest(number, _REPEAT_S)
        finally:
            self.server.leave_seat()

    def end_headers(self) -> None:
        """Add the headers of every answer."""
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def version_string(self) -> str:
        """Return the server's name, without versions."""
        return "hprnet-rt"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: the addresses of requests hold the token."""
