"""Servers on this machine that send a clip as live video, or do not."""

import contextlib
import socket
import struct
import threading
import time

PIECE = 7 * 188  # bytes, whole packets of MPEG-TS
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
            self._greet(client)
            self._send(client)
        except OSError:
            pass  # the receiver has gone
        finally:
            client.close()

    def _greet(self, client):
        if self._http:
            client.recv(65536)
            client.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")

    def _wrap(self, piece):
        return piece

    def _send(self, client):
        rate = len(self._data) / self._clip_s  # bytes a second
        started_s = time.perf_counter() - LEAD_S
        sent = 0
        while not self._closed.wait(0.01):
            due = int((time.perf_counter() - started_s) * rate)
            while sent < due and not self.silent.is_set():
                at = sent % len(self._data)
                piece = self._data[at : at + PIECE]
                client.sendall(self._wrap(piece))
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


class RtspServer(Server):
    """Speaks as much of RTSP as a receiver over TCP needs: MPEG-TS in RTP between the answers.

    `transports` are the receivers' wishes.
    """

    def __init__(self, *arguments, **settings):
        self.transports = []
        self._packets = 0
        super().__init__(*arguments, **settings)

    def _greet(self, client):
        lines = client.makefile("rb")
        method = b""
        while method != b"PLAY" and not self.silent.is_set():
            method = lines.readline().split(b" ")[0]
            headers = dict(line.split(b": ", 1) for line in iter(lambda: lines.readline().strip(), b""))
            body, more = b"", b""
            if method == b"DESCRIBE":
                body = (
                    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=clip\r\nt=0 0\r\n"
                    b"m=video 0 RTP/AVP 33\r\na=control:track\r\n"
                )
                more = b"Content-Type: application/sdp\r\n"
            if method == b"SETUP":
                self.transports.append(headers[b"Transport"])
                more = b"Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
            client.sendall(
                b"RTSP/1.0 200 OK\r\nCSeq: %s\r\n%sContent-Length: %d\r\n\r\n%s"
                % (headers[b"CSeq"], more, len(body), body)
            )

    def _wrap(self, piece):
        self._packets += 1
        clock = int(time.perf_counter() * 90_000) % 2**32
        rtp = struct.pack(">BBHII", 0x80, 33, self._packets % 2**16, clock, 1) + piece
        return struct.pack(">cBH", b"$", 0, len(rtp)) + rtp
