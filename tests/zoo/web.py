"""A local web server for tests: files, with or without ranges, that may break off in the middle."""

import contextlib
import io
import re
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

MB = 1 << 20


def checkpoint(seed=0, size=3 * MB):
    """Bytes that look like a checkpoint: a zip with incompressible members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02.")
        archive.writestr("archive/data/0", np.random.default_rng(seed).bytes(size))
    return file.getvalue()


@dataclass
class Page:
    """What the server answers.

    Attributes:
        body: of the answer.
        status, headers: besides Content-Length.
        ranges: whether a part can be asked for.
        breaks: for each of the first requests, after how many bytes the connection is closed.
        length: whether Content-Length is sent.
        hold: waited for before a broken connection is closed.
    """

    body: bytes
    status: int = 200
    headers: dict = field(default_factory=dict)
    ranges: bool = True
    breaks: list = field(default_factory=list)
    length: bool = True
    hold: threading.Event | None = None


class Web(ThreadingHTTPServer):
    """Serves `pages` (path to Page) and keeps `requests` (path, Range header or None, bytes sent)."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages, self.requests = {}, []
        self.broken = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        pass  # a client may go away


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        page = self.server.pages.get(self.path)
        if page is None:
            self.server.requests.append((self.path, None, 0))
            self.send_error(404, "Not Found")
            return
        asked = self.headers.get("Range")
        body, status, extra = page.body, page.status, {}
        if asked and page.ranges:
            first = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            status = 206
            extra["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
            body = body[first:]
        self.send_response(status)
        for name, value in {**page.headers, **extra}.items():
            self.send_header(name, value)
        if page.length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        breaks = page.breaks.pop(0) if page.breaks else None
        sent = body if breaks is None else body[:breaks]
        self.server.requests.append((self.path, asked, len(sent)))
        with contextlib.suppress(ConnectionError):
            self.wfile.write(sent)
            self.wfile.flush()
        if breaks is not None:
            self.server.broken.set()
            if page.hold is not None:
                page.hold.wait(30)
        self.close_connection = True

    def log_message(self, *_arguments):
        pass


@contextlib.contextmanager
def serving():
    """A running server."""
    with Web() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
