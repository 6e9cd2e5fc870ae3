"""The answers to viewers: the page, its status, the moving picture, a still, and keypoints."""

from __future__ import annotations

import functools
import json
import socket
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from importlib.resources import files
from typing import Any, Final

from hprnet_rt.live.connections import MAX_VIEWERS, Connections
from hprnet_rt.live.last_minute import LastMinute

__all__ = ["Answers"]

_BOUNDARY: Final = b"picture"
_SEND_BUFFER: Final = 1 << 18  # bytes; a large one would hold old pictures for a slow viewer
_PIECE: Final = 1 << 16  # bytes
_STALLED_S: Final = 10.0  # a viewer who takes no byte for this long is disconnected
_REPEAT_S: Final = 1.0  # the last picture is sent again, which finds out viewers who have gone
_FIRST_S: Final = 5.0
_NO_PICTURE: Final = "There is no picture yet"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src 'self' blob: data:; "
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the address may hold the token
    "X-Content-Type-Options": "nosniff",
}


@functools.cache
def _page() -> bytes:
    """Return the page, as a browser gets it."""
    return files("hprnet_rt.live").joinpath("page.html").read_bytes()


class Answers(BaseHTTPRequestHandler):
    """Answers one request of a viewer."""

    server: Connections
    timeout = _STALLED_S
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer with what the address names: the page, its status, the stream, a still, keypoints."""
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
            self._send("text/html; charset=utf-8", _page(), remember=has_token)
        elif path == "/status.json":
            self._send("application/json", json.dumps(self._status()).encode(), remember=has_token)
        elif path == "/picture.jpg":
            self._picture(remember=has_token)
        elif path == "/keypoints.jsonl" and self.server.keypoints is not None:
            self._keypoints(self.server.keypoints, remember=has_token)
        elif path == "/stream":
            self._stream(remember=has_token)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    do_HEAD = do_GET  # noqa: N815

    def _head(
        self, content_type: str, remember: bool, length: int | None = None, name: str | None = None
    ) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if name is not None:
            self.send_header("Content-Disposition", f'attachment; filename="{name}"')
        if remember:
            access = self.server.access
            cookie = f"{access.cookie}={access.token}; HttpOnly; SameSite=Strict; Path=/"
            self.send_header("Set-Cookie", cookie)
        self.end_headers()

    def _send(self, content_type: str, body: bytes, *, remember: bool, name: str | None = None) -> None:
        self._head(content_type, remember, len(body), name)
        if self.command != "HEAD":
            for begin in range(0, len(body), _PIECE):  # each may take `timeout`: a slow viewer gets all of it
                self.wfile.write(body[begin : begin + _PIECE])

    def _status(self) -> dict[str, float | int | str | None]:
        status, keypoints = self.server.feed.status(), self.server.keypoints
        return status if keypoints is None else {**status, "keypoints_s": round(keypoints.seconds, 1)}

    def _picture(self, *, remember: bool) -> None:
        """Send the newest picture, once."""
        picture = self.server.feed.newest(0, _FIRST_S)
        if picture is None:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, _NO_PICTURE)
        else:
            self._send("image/jpeg", picture[1], remember=remember)

    def _keypoints(self, keypoints: LastMinute, *, remember: bool) -> None:
        """Send the last minute's keypoints, as a file to be kept."""
        name = f"hprnet-rt-{datetime.now():%Y%m%d-%H%M%S}.jsonl"
        self._send("application/x-ndjson", keypoints.to_jsonl(), remember=remember, name=name)

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
                self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, _NO_PICTURE)
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
