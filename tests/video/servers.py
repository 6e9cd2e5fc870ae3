"""Servers on this machine that send a clip as live video, or do not."""

import contextlib
import socket
import threading
import time

LEAD_S = 1.5  # of the clip, sent at once: what the receiver looks at before it decodes


class Server:
    """Sends the bytes of a clip to whoever connects, over and over, at the clip's pace.

    Args:
        data: the clip as MPEG-TS.
        clip_s: how long it lasts.
        port: the same one again, after a restart.
        http: answer a request first.
        silent: accept, and send nothing.
    """

    def __init__(self, data=b"", clip_s=1.0, *, port=0, http=False, silent=False):
        self.connected = threading.Event()
        self.connections = 0
        self.silent = threading.Event()  # stay connected, and send no more
        if silent:
            self.silent.set()
        self._data, self._clip_s, self._http = data, clip_s, http
        self._closed = threading.Event()
        self._clients = []
        self._threads = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)

    def _start(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._clients.append(client)
            self._start(self._serve, client)
            self.connected.set()

    def _serve(self, client):
        try:
            if self._http:
                client.recv(65536)
                client.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")
            self._send(client)
        except OSError:
            pass  # the receiver has gone
        finally:
            client.close()

    def _send(self, client):
        rate = len(self._data) / self._clip_s  # bytes a second
        started_s = time.perf_counter() - LEAD_S
        sent = 0
        while not self._closed.wait(0.01):
            due = int((time.perf_counter() - started_s) * rate)
            while sent < due and not self.silent.is_set():
                at = sent % len(self._data)
                piece = self._data[at : at + min(due - sent, 65536)]
                client.sendall(piece)
                sent += len(piece)

    def close(self):
        if self._closed.is_set():
            return
        self._closed.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in self._clients:
            with contextlib.suppress(OSError):  # it has gone
                client.shutdown(socket.SHUT_RDWR)
            client.close()
        for thread in self._threads:
            thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
