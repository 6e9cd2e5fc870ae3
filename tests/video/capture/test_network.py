"""Network streams, from servers on this machine that are stopped, started and stalled."""

import functools
import http.server
import logging
import socket
import threading
import time

import av
import pytest

from hprnet_rt.errors import MediaError
from hprnet_rt.video.capture import LiveOptions
from hprnet_rt.video.capture.network import StreamSource, _masked
from tests import clips
from tests.video.conftest import DEADLINE_S, source_threads, wait_for
from tests.video.servers import RtspServer, Server

SECONDS, RATE = 4, 25
TIMEOUT_S = 1.0
BIG, SMALL = (160, 96), (96, 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("streams")


@pytest.fixture(scope="module")
def clip(folder):
    """MPEG-TS with a key frame every 0.4 s."""
    return clips.make(folder / "clip.ts", frames=SECONDS * RATE, options={"g": "10"}).read_bytes()


@pytest.fixture
def serve(clip):
    """Start servers; they are closed at the end."""
    servers = []

    def start(data=clip, kind=Server, **settings):
        servers.append(kind(data, SECONDS, **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def play():
    """Open streams and take from them in a thread of the test; they are closed at the end."""
    players = []

    def start(url, **settings):
        players.append(Player(url, **settings))
        return players[-1]

    yield start
    for player in players:
        player.close()


class Player:
    """Takes frames as a pipeline does."""

    def __init__(self, url, *, timeout_s=TIMEOUT_S, give_up_s=60.0):
        self.source = StreamSource(url, LiveOptions(timeout_s=timeout_s, give_up_s=give_up_s))
        self.frames = []
        self.error = None
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self):
        try:
            for frame in self.source:
                self.frames.append(frame)
        except MediaError as error:
            self.error = error
        self.ended.set()

    def gives(self, more=3):
        """Wait until this many more frames have come; whether they did."""
        before = len(self.frames)
        return wait_for(lambda: len(self.frames) >= before + more)

    def is_quit_at_once(self):
        started_s = time.perf_counter()
        self.source.interrupt()
        return self.ended.wait(DEADLINE_S) and time.perf_counter() - started_s < 0.2

    def close(self):
        self.source.interrupt()
        self.source.close()
        self.source.close()
        self._thread.join(DEADLINE_S)


def address(server, scheme="tcp"):
    return f"{scheme}://127.0.0.1:{server.port}"


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


# --- pictures come ---


@pytest.mark.parametrize("scheme", ["tcp", "http"])
def test_live_stream_gives_frames(serve, play, scheme):
    player = play(address(serve(http=scheme == "http"), scheme))
    assert player.gives(10)
    info = player.source.info
    assert (info.width, info.height, info.rate) == (*BIG, RATE)
    assert player.source.status == ""
    frames = list(player.frames)
    assert [frame.sequence for frame in frames] == list(range(len(frames)))
    pts = [frame.pts for frame in frames]
    assert pts == sorted(set(pts))
    for frame in frames:
        assert frame.pts_s == pytest.approx(frame.captured_s - frames[0].captured_s, abs=1e-3)
    player.source.pause(True)  # nothing, and no error
    assert player.gives()
    assert player.is_quit_at_once()


def test_rtsp_stream_comes_over_tcp_and_comes_back(serve, play):
    server = serve(kind=RtspServer)
    player = play(address(server, "rtsp"))
    assert player.gives()
    (transport,) = server.transports
    assert transport.startswith(b"RTP/AVP/TCP")
    server.close()
    assert wait_for(lambda: "trying again" in player.source.status)
    again = serve(kind=RtspServer, port=server.port)
    assert player.gives()
    again.silent.set()
    assert wait_for(lambda: "trying again" in player.source.status)
    assert player.is_quit_at_once()


def test_udp_stream_gives_frames(play, folder):
    port = free_port(socket.SOCK_DGRAM)
    sent, stop = threading.Event(), threading.Event()
    clips.make(folder / "udp.ts", frames=RATE, options={"g": "5"})

    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            data = (folder / "udp.ts").read_bytes()
            pieces = [data[at : at + 1316] for at in range(0, len(data), 1316)]
            while not stop.is_set():
                for piece in pieces:
                    sender.sendto(piece, ("127.0.0.1", port))
                    sent.set()
                    stop.wait(1 / len(pieces))

    sender = threading.Thread(target=send)
    sender.start()
    try:
        player = play(f"udp://127.0.0.1:{port}", timeout_s=4)
        assert player.gives(5)
        assert player.is_quit_at_once()
    finally:
        stop.set()
        sender.join()


def test_slow_taker_gets_the_newest_picture(serve):
    server = serve()
    source = StreamSource(address(server), LiveOptions(timeout_s=TIMEOUT_S))
    frames = iter(source)
    next(frames)
    for _ in range(2):
        threading.Event().wait(0.4)  # as long as ten frames
        assert time.perf_counter() - next(frames).captured_s < 0.2
    source.close()


def test_first_frame_of_a_stream_with_rare_key_frames_is_not_missed(serve, folder):
    rare = clips.make(folder / "rare.ts", frames=SECONDS * RATE, options={"g": "1000"}).read_bytes()
    started_s = time.perf_counter()
    source = StreamSource(address(serve(rare)), LiveOptions(timeout_s=3))
    assert time.perf_counter() - started_s < 2
    source.close()


# --- files on web servers ---


@pytest.fixture(scope="module")
def web(folder):
    """The address of a web server for `folder`."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["file.mp4", "file.ts", "file.m3u8"])
def test_file_on_a_web_server_is_played_by_its_clock_to_its_end(web, folder, name, caplog):
    clips.make(folder / name, frames=20, options={"g": "10"}, rate=20)
    source = StreamSource(f"{web}/{name}", LiveOptions(timeout_s=TIMEOUT_S))
    frames = list(source)
    source.close()
    assert len(frames) >= 10  # a busy machine may miss some
    assert frames[-1].pts_s == pytest.approx(19 / 20, abs=0.3)
    assert caplog.messages == []


def test_missing_file_on_a_web_server_says_what_the_server_says(web):
    with pytest.raises(MediaError, match=r"cannot open http://.*/none.mp4: .*404"):
        StreamSource(f"{web}/none.mp4", LiveOptions(timeout_s=TIMEOUT_S))


def test_page_that_is_no_video_says_so(web, folder):
    (folder / "page.html").write_text("<html>" + "no pictures in here\n" * 200)
    with pytest.raises(MediaError, match="no video"):
        StreamSource(f"{web}/page.html", LiveOptions(timeout_s=TIMEOUT_S))


def test_sound_alone_says_so(web, folder):
    clips.make_audio(folder / "sound.mp4")
    with pytest.raises(MediaError, match="no pictures"):
        StreamSource(f"{web}/sound.mp4", LiveOptions(timeout_s=TIMEOUT_S))


# --- the first connection ---


def test_refused_port_is_an_error_at_once():
    started_s = time.perf_counter()
    with pytest.raises(MediaError, match="Connection refused"):
        StreamSource(f"tcp://127.0.0.1:{free_port()}", LiveOptions(timeout_s=TIMEOUT_S))
    assert time.perf_counter() - started_s < 0.5


@pytest.mark.parametrize("scheme", ["tcp", "http", "rtsp"])
def test_server_that_sends_nothing_is_an_error_within_the_timeout(serve, scheme):
    server = serve(silent=True)
    started_s = time.perf_counter()
    with pytest.raises(MediaError, match=r"no picture came|no answer"):
        StreamSource(address(server, scheme), LiveOptions(timeout_s=0.5))
    assert time.perf_counter() - started_s < 1.2


@pytest.mark.parametrize(
    ("url", "words"),
    [("gopher2://127.0.0.1/x", "Protocol not found"), ("http://no.invalid/x", "no such host")],
)
def test_unknown_protocol_and_unknown_host_are_errors(url, words):
    with pytest.raises(MediaError, match=words):
        StreamSource(url, LiveOptions(timeout_s=3))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://user:secret@host:554/live", "rtsp://user:***@host:554/live"),
        ("rtsp://user:se@cr:et@host/live", "rtsp://user:***@host/live"),
        ("rtsp://:secret@host/live", "rtsp://:***@host/live"),
        ("http://host:8080/a@b?c=d:e@f", "http://host:8080/a@b?c=d:e@f"),
        ("udp://@239.0.0.1:1234", "udp://@239.0.0.1:1234"),
    ],
)
def test_password_is_masked(url, shown):
    assert _masked(url) == shown


def test_no_message_shows_the_password(caplog):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(MediaError) as caught:
        StreamSource(f"rtsp://user:secret@127.0.0.1:{free_port()}/x", LiveOptions(timeout_s=TIMEOUT_S))
    assert "secret" not in str(caught.value) + caplog.text
    assert "rtsp://user:***@127.0.0.1" in str(caught.value)


# --- a stream that is lost ---


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_lost_stream_says_so_at_once_and_comes_back(serve, play, folder, caplog):
    server = serve()
    player = play(address(server))
    assert player.gives()
    server.close()
    closed_s = time.perf_counter()
    assert wait_for(lambda: "trying again" in player.source.status)
    assert time.perf_counter() - closed_s < 0.5
    assert wait_for(lambda: "no picture for 1 s" in player.source.status)
    before = len(player.frames)
    small = clips.make(folder / "small.ts", frames=SECONDS * RATE, size=SMALL, options={"g": "10"})
    serve(small.read_bytes(), port=server.port)
    assert player.gives()
    assert wait_for(lambda: player.source.status == "")
    assert len(warnings(caplog)) == 1  # of the loss; not of each trial
    assert "lost" in warnings(caplog)[0]
    assert "ended" in warnings(caplog)[0]
    for frame in player.frames[before:]:  # those of the other size are scaled
        assert frame.image.shape == (BIG[1], BIG[0], 3)
    assert [frame.sequence for frame in player.frames] == list(range(len(player.frames)))
    assert player.is_quit_at_once()


def test_stall_is_a_loss_within_the_timeout_and_comes_back(serve, play, caplog):
    server = serve()
    player = play(address(server))
    assert player.gives()
    server.silent.set()
    stalled_s = time.perf_counter()
    assert wait_for(lambda: "trying again" in player.source.status)
    assert time.perf_counter() - stalled_s < TIMEOUT_S + 1
    assert "no answer for 1 s" in player.source.status
    assert len(warnings(caplog)) == 1
    server.silent.clear()
    assert player.gives()
    assert server.connections >= 2
    assert player.is_quit_at_once()


def test_sound_that_goes_on_alone_is_a_stall(serve, play, folder):
    path = folder / "sound.ts"
    clips.make(path, frames=10, audio="aac", options={"g": "5"})
    with av.open(str(path), "r") as file, av.open(str(folder / "alone.ts"), "w") as copy:
        video, sound = file.streams.video[0], file.streams.audio[0]
        streams = {s.index: copy.add_stream_from_template(s) for s in (video, sound)}
        packets = [packet for packet in file.demux() if packet.dts is not None]
        last = max((p for p in packets if p.stream is sound), key=lambda p: p.dts)
        length = last.dts + last.duration - min(p.dts for p in packets if p.stream is sound)
        for turn in range(int(SECONDS / (length * sound.time_base))):
            for packet in packets:
                if packet.stream is sound and turn:
                    packet.pts, packet.dts = packet.pts + length, packet.dts + length
                if packet.stream is sound or not turn:
                    original = packet.stream
                    packet.stream = streams[original.index]
                    copy.mux(packet)
                    packet.stream = original
    player = play(address(serve((folder / "alone.ts").read_bytes())))
    assert wait_for(lambda: "no picture in what came" in player.source.status)


def test_stream_that_stays_away_is_given_up(serve, play, caplog):
    server = serve()
    player = play(address(server), give_up_s=1.2)
    assert player.gives()
    server.close()
    closed_s = time.perf_counter()
    assert player.ended.wait(DEADLINE_S)
    assert 1 < time.perf_counter() - closed_s < 2
    assert f"{address(server)} gave no picture for 1 s (Connection refused)" in str(player.error)
    assert len(warnings(caplog)) == 1
    player.close()


def test_give_up_of_nothing_ends_at_the_first_loss(serve, play):
    server = serve()
    player = play(address(server), give_up_s=0)
    assert player.gives()
    server.close()
    assert player.ended.wait(1)
    assert player.error is not None


# --- quitting at once, and leaving nothing ---


def test_quit_while_it_stalls(serve, play):
    server = serve()
    player = play(address(server), timeout_s=1.5)
    assert player.gives()
    server.silent.set()
    assert wait_for(lambda: "no picture for 1 s" in player.source.status)
    assert player.is_quit_at_once()
    closed_s = time.perf_counter()
    player.close()
    assert time.perf_counter() - closed_s < 0.5
    assert wait_for(lambda: not source_threads(), 2.5)  # by itself, at the timeout of the read


def test_quit_during_the_back_off(serve, play):
    server = serve()
    player = play(address(server))
    assert player.gives()
    server.close()
    assert wait_for(lambda: "refused" in player.source.status)
    assert player.is_quit_at_once()
    player.close()
    assert source_threads() == []


def test_quit_while_it_connects_again(serve, play):
    server = serve()
    player = play(address(server), timeout_s=1)
    assert player.gives()
    server.close()
    again = serve(port=server.port, silent=True)
    assert again.connected.wait(DEADLINE_S)
    assert player.is_quit_at_once()


def test_close_before_the_iteration_leaves_nothing(serve):
    source = StreamSource(address(serve()), LiveOptions(timeout_s=TIMEOUT_S))
    source.close()
    source.close()
    assert list(source) == []
