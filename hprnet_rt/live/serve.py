"""An HTTP server of pictures: a machine without a display is watched from another one."""

from __future__ import annotations

import logging
import socket
import threading
import time
from types import TracebackType
from typing import Final, Self

from hprnet_rt.errors import OutputError, UsageError
from hprnet_rt.files import reason
from hprnet_rt.live.access import Access, choose_token
from hprnet_rt.live.answers import Answers
from hprnet_rt.live.connections import MAX_VIEWERS, Connections, Connections6
from hprnet_rt.live.feed import PictureFeed, Status
from hprnet_rt.live.last_minute import LastMinute
from hprnet_rt.types import ImageArray

__all__ = ["MAX_VIEWERS", "PictureServer"]

_log = logging.getLogger(__name__)

_QUALITY: Final = 80
_POLL_S: Final = 0.1
_JOIN_S: Final = 0.8
_WILDCARDS: Final = ("", "0.0.0.0", "::")  # noqa: S104


class PictureServer:
    """Shows the newest picture to up to 16 browsers, over HTTP.

    `/` is a page, `/stream` the pictures as motion JPEG, `/picture.jpg` the newest one, `/status.json` its
    status, and `/keypoints.jsonl` the last minute's keypoints, if the server is given them. On an address
    that other machines can reach, viewers need the token in `url`; the connection is not encrypted.

    Args:
        port: 0 for a free one.
        host: the address to listen on; "0.0.0.0" can be reached from other machines.
        token: viewers need it, on a loopback address too; None makes one unless the address is a loopback.
        keypoints: what viewers may download; None for nothing.

    Raises:
        UsageError: the port is not from 0 to 65535, or the token does not fit into an address.
        OutputError: the port is taken, or the system refuses the address.
    """

    def __init__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        token: str | None = None,
        keypoints: LastMinute | None = None,
    ) -> None:
        if not 0 <= port <= 65_535:
            raise UsageError(f"a port is a number from 0 to 65535, got {port}")
        token = choose_token(host, token)
        self._feed = PictureFeed(_QUALITY)
        try:
            self._server = (Connections6 if ":" in host else Connections)((host, port), Answers)
        except (OSError, UnicodeError) as error:
            raise OutputError(
                f"cannot show pictures on {host} port {port}: {reason(error)}; "
                "choose another port, 0 for any free one, or another address"
            ) from error
        self._port = int(self._server.server_address[1])
        self._server.feed, self._server.keypoints = self._feed, keypoints
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
            status: for `/status.json`. The page shows `people`, `fps`, `age_ms`, `dropped` and, unless it is
                "", `trouble`. The server adds `pictures`, the number shown, `quiet_s`, the seconds since the
                last of them, and `keypoints_s`, the seconds of keypoints that can be had.

        Raises:
            ShapeError: the picture has another shape or type, or a side above 65500 px.
        """
        self._feed.show(image_bgr, status)

    def tell(self, status: Status) -> None:
        """Replace the status alone, while no picture comes; see `show`."""
        self._feed.tell(status)

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
