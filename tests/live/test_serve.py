import contextlib
import http.client
import json
import math
import re
import socket
import threading
import time
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np
import pytest

from hprnet_rt.errors import OutputError, ShapeError, UsageError
from hprnet_rt.formats import read_keypoints
from hprnet_rt.live import answers, feed
from hprnet_rt.live.last_minute import LastMinute
from hprnet_rt.live.serve import MAX_VIEWERS, PictureServer
from hprnet_rt.types import FramePoses, unseen_frame
from hprnet_rt.video.capture.source import LIVE_TIME_BASE
from tests.formats.recordings import poses

LONG_S = 5.0
EVERYTHING = ("/", "/stream", "/picture.jpg", "/status.json", "/keypoints.jsonl", "/nothing")


def picture(level=0, size=(48, 64)):
    """One colour, of which JPEG loses little."""
    return np.full((*size, 3), level, np.uint8)


def noise(size):
    """A picture that JPEG cannot make small."""
    return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)


@pytest.fixture(autouse=True)
def no_thread_left():
    yield
    names = ("hprnet-serve", "hprnet-viewer")
    assert [thread for thread in threading.enumerate() if thread.name in names] == []


@pytest.fixture
def server():
    with PictureServer(0) as server:
        yield server


def port_of(server):
    return urlsplit(server.url).port


@contextlib.contextmanager
def answer(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=LONG_S)
    try:
        connection.request(method, path, headers=headers)
        yield connection.getresponse()
    finally:
        connection.close()


def status_code(server, path, method="GET", **headers):
    with answer(server, path, method, **headers) as response:
        return response.status


class Viewer:
    """Watches a stream, one picture at a time."""

    def __init__(self, server, path="/stream"):
        self._connection = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=LONG_S)
        self._connection.request("GET", path)
        self.response = self._connection.getresponse()
        if self.response.status == 200:
            assert self.response.readline() == b"--picture\r\n"

    def next(self):
        """The next picture."""
        assert self.response.readline() == b"Content-Type: image/jpeg\r\n"
        length = int(self.response.readline().removeprefix(b"Content-Length: "))
        assert self.response.readline() == b"\r\n"
        jpeg = self.response.read(length)
        assert self.response.read(13) == b"\r\n--picture\r\n"
        return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)

    def close(self):
        self.response.close()
        self._connection.close()


@pytest.fixture
def watch():
    with contextlib.ExitStack() as viewers:

        def start(*arguments):
            return viewers.enter_context(contextlib.closing(Viewer(*arguments)))

        yield start


def test_pictures_arrive_and_decode_to_what_was_shown(server, watch):
    server.show(picture(10), {})
    viewer = watch(server)
    for level in (10, 100, 200):
        server.show(picture(level), {})
        seen = viewer.next()
        while abs(int(seen[0, 0, 0]) - level) > 3:  # the one before may be on its way
            seen = viewer.next()
        np.testing.assert_allclose(seen, picture(level), atol=3)  # JPEG


def test_the_stream_says_what_it_is(server):
    server.show(picture(), {})
    for method in ("GET", "HEAD"):
        with answer(server, "/stream", method) as response:
            assert response.getheader("Content-Type") == "multipart/x-mixed-replace; boundary=picture"
            assert response.getheader("Cache-Control") == "no-store"


def test_a_viewer_who_comes_before_the_first_picture_gets_it(server, watch):
    viewers = []
    thread = threading.Thread(target=lambda: viewers.append(watch(server)))
    thread.start()
    server.show(picture(50), {})
    thread.join(LONG_S)
    np.testing.assert_allclose(viewers[0].next(), picture(50), atol=3)


def test_without_a_first_picture_the_stream_is_not_there_yet(server, monkeypatch):
    monkeypatch.setattr(answers, "_FIRST_S", 0.05)
    for path in ("/stream", "/picture.jpg"):
        assert status_code(server, path) == 503


def test_a_still_is_the_newest_picture_and_ends(server):
    for level in (50, 120):
        server.show(picture(level), {})
        with answer(server, "/picture.jpg") as response:
            assert response.getheader("Content-Type") == "image/jpeg"
            jpeg = response.read()
        assert len(jpeg) == int(response.getheader("Content-Length"))
        still = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        np.testing.assert_allclose(still, picture(level), atol=3)


def keypoints_of(frames, **settings):
    """The last minute of a run with 20 frames a second."""
    last_minute = LastMinute({"source": "camera"}, **settings)
    for number in range(frames):
        frame = replace(unseen_frame(number, 4500 * number, LIVE_TIME_BASE), captured_s=100 + number / 20)
        last_minute.add(FramePoses(frame, poses(number % 3, number)))
    return last_minute


def test_the_last_minute_s_keypoints_are_a_file_that_is_read(tmp_path):
    with PictureServer(0, keypoints=keypoints_of(30, longest_s=1.0)) as server:
        server.show(picture(), {})
        with answer(server, "/status.json") as response:
            assert json.load(response)["keypoints_s"] == 1.0
        with answer(server, "/keypoints.jsonl") as response:
            disposition = response.getheader("Content-Disposition")
            assert re.fullmatch(r'attachment; filename="hprnet-rt-\d{8}-\d{6}\.jsonl"', disposition)
            (tmp_path / "a.jsonl").write_bytes(response.read())
    recording = read_keypoints(tmp_path / "a.jsonl")
    assert recording.header["source"] == "camera"
    frames = list(recording.frames)
    assert [frame.number for frame in frames] == list(range(9, 30))
    assert [frame.pts_s for frame in frames] == pytest.approx([number / 20 for number in range(9, 30)])
    for frame in frames:
        expected = poses(frame.number % 3, frame.number)
        np.testing.assert_allclose(frame.poses.xy, expected.xy, atol=0.01)


def test_where_keypoints_are_too_large_fewer_seconds_are_held():
    some = keypoints_of(200, most_bytes=100_000)
    assert 1.0 < some.seconds < 8.0
    assert some.seconds == pytest.approx((len(some.to_jsonl().splitlines()) - 2) / 20)
    one = keypoints_of(5, most_bytes=10)
    assert (one.seconds, len(one.to_jsonl().splitlines())) == (0.0, 2)
    assert LastMinute({}).seconds == 0.0


def test_a_slow_viewer_gets_the_whole_file(monkeypatch):
    body = bytes(12 << 20)  # more than the buffers of a connection
    monkeypatch.setattr(LastMinute, "to_jsonl", lambda _: body)
    monkeypatch.setattr(answers.Answers, "timeout", 0.3)
    with (
        PictureServer(0, keypoints=LastMinute({})) as server,
        answer(server, "/keypoints.jsonl") as response,
    ):
        got = 0
        while piece := response.read(1 << 20):
            got += len(piece)
            time.sleep(0.05)  # all of it takes twice as long as a viewer may take no byte
    assert got == len(body)


def test_a_server_without_keypoints_has_none(server):
    server.show(picture(), {})
    assert status_code(server, "/keypoints.jsonl") == 404
    with answer(server, "/status.json") as response:
        assert "keypoints_s" not in json.load(response)


def test_the_status_can_change_while_no_picture_comes(server):
    server.show(picture(), {"trouble": ""})
    server.tell({"trouble": "no picture for 5 s"})
    with answer(server, "/status.json") as response:
        said = json.load(response)
    assert (said["trouble"], said["pictures"]) == ("no picture for 5 s", 1)


def test_the_last_picture_goes_out_again_when_no_new_one_comes(server, watch, monkeypatch):
    monkeypatch.setattr(answers, "_REPEAT_S", 0.05)
    server.show(picture(50), {})
    viewer = watch(server)
    for _ in range(3):
        np.testing.assert_allclose(viewer.next(), picture(50), atol=3)


def test_a_picture_is_encoded_once_for_all_and_only_while_someone_watches(server, watch, monkeypatch):
    encoded, encode = [], cv2.imencode

    def count(suffix, image, parameters):
        encoded.append(int(image[0, 0, 0]))
        return encode(suffix, image, parameters)

    monkeypatch.setattr(feed.cv2, "imencode", count)
    for level in (1, 2, 3):
        server.show(picture(level), {})
    assert encoded == []
    viewers = [watch(server) for _ in range(4)]
    for viewer in viewers:
        viewer.next()
    assert encoded == [3]
    server.show(picture(90), {})
    for viewer in viewers:
        while abs(int(viewer.next()[0, 0, 0]) - 90) > 3:
            pass
    assert encoded == [3, 90]


def test_a_stalled_viewer_blocks_neither_show_nor_other_viewers(server, watch):
    pictures = [noise((480, 640)), picture(200, (480, 640))]
    server.show(pictures[0], {})
    with socket.create_connection(("127.0.0.1", port_of(server))) as stalled:
        stalled.sendall(b"GET /stream HTTP/1.0\r\nHost: localhost\r\n\r\n")  # and never reads
        viewer = watch(server)
        longest_s = 0.0
        for i in range(60):  # some 10 MB, more than the buffers of a connection
            started_s = time.perf_counter()
            server.show(pictures[i % 2], {"i": i})
            longest_s = max(longest_s, time.perf_counter() - started_s)
            assert viewer.next().shape == (480, 640, 3)
        assert longest_s < 0.1  # a lock and a copy of the status; 100 ms allow for a busy machine


def test_a_slow_viewer_skips_pictures(server, watch):
    server.show(noise((480, 640)), {})
    viewer = watch(server)
    for _ in range(100):
        server.show(noise((480, 640)), {})
        time.sleep(0.002)
    server.show(picture(7, (480, 640)), {})
    seen = 0
    while viewer.next().std() > 5:
        seen += 1
    assert seen < 50


def test_the_status_is_what_was_said_last(server):
    with answer(server, "/status.json") as response:
        assert json.load(response)["pictures"] == 0
    status = {"fps": 29.5, "people": 3, "camera": "front", "age_ms": math.nan}
    server.show(picture(), status)
    status["people"] = 99  # the server has its own copy
    with answer(server, "/status.json") as response:
        assert response.getheader("Content-Type") == "application/json"
        said = json.load(response)
    assert 0 <= said.pop("quiet_s") < LONG_S
    assert said == {"fps": 29.5, "people": 3, "camera": "front", "age_ms": None, "pictures": 1}


def test_the_page_is_self_contained_and_says_so(server):
    with answer(server, "/") as response:
        page = response.read().decode()
        assert "no signal" in page and "status.json" in page
        assert "http" not in page.lower().replace("hprnet", "")
        assert response.getheader("Content-Security-Policy").startswith("default-src 'none'")
        assert "Python" not in response.getheader("Server")


@pytest.mark.parametrize(
    "path", ["/nothing", "/../serve.py", "/stream/", "/hprnet_rt/", "/%2e%2e/", "/index.html"]
)
def test_there_is_nothing_else(server, path):
    assert status_code(server, path) == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(server, method):
    assert status_code(server, "/", method) == 501


def test_head_has_no_body(server):
    server.show(picture(), {})
    for path in ("/", "/status.json", "/picture.jpg"):
        with answer(server, path, "HEAD") as response:
            assert response.status == 200
            assert response.read() == b""


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "LOCALHOST", "127.0.0.1:1", "[::1]", "[::1]:80"]
)
def test_this_machines_names_are_let_in(server, host):
    assert status_code(server, "/", Host=host) == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "[::1", "localhost:x"]
)
def test_another_name_that_resolves_to_this_machine_is_refused(server, host):
    for path in EVERYTHING:
        assert status_code(server, path, Host=host) == 403


def test_on_this_machine_no_token_is_needed_unless_it_is_asked_for():
    with PictureServer(0) as server:
        assert "token" not in server.url
    with PictureServer(0, token="open-sesame") as server:
        assert server.url.endswith("/?token=open-sesame")
        assert status_code(server, "/") == 403
        assert status_code(server, "/?token=open-sesame") == 200


def test_where_others_can_reach_it_a_token_is_made_and_needed(watch):
    with (
        PictureServer(0, host="0.0.0.0", keypoints=LastMinute({})) as server,
        PictureServer(0, host="0.0.0.0") as other,
    ):
        (token,) = parse_qs(urlsplit(server.url).query)["token"]
        assert len(token) >= 32
        assert "0.0.0.0" not in server.url
        assert token not in other.url
        server.show(picture(50), {})
        for path in EVERYTHING:
            assert status_code(server, path) == 403
            assert status_code(server, f"{path}?token=") == 403
            assert status_code(server, f"{path}?token={token[:-1]}") == 403
            assert status_code(server, f"{path}?token=%ff%fe") == 403
        np.testing.assert_allclose(watch(server, f"/stream?token={token}").next(), picture(50), atol=3)


def test_the_token_is_remembered_for_what_the_page_asks_for():
    with PictureServer(0, host="0.0.0.0") as server:
        with answer(server, urlsplit(server.url)._replace(scheme="", netloc="").geturl()) as response:
            cookie, *settings = response.getheader("Set-Cookie").split("; ")
        assert {"HttpOnly", "SameSite=Strict"} <= set(settings)
        server.show(picture(), {})
        for path in ("/status.json", "/picture.jpg"):
            assert status_code(server, path, Cookie=f"other=1; {cookie}") == 200
        assert status_code(server, "/status.json", Cookie=f"{cookie}x") == 403
        assert status_code(server, "/status.json", Cookie=f"other={cookie.partition('=')[2]}") == 403
        with answer(server, "/", Cookie=cookie) as response:
            assert response.getheader("Set-Cookie") is None


@pytest.mark.parametrize("token", ["", "short", "with space in it", "with;semicolon"])
def test_a_token_that_protects_nothing_or_breaks_an_address_is_refused(token):
    with pytest.raises(UsageError, match="at least 8 letters"):
        PictureServer(0, token=token)


def test_one_viewer_more_than_there_are_seats_is_sent_away_until_one_leaves(server, watch, monkeypatch):
    monkeypatch.setattr(answers, "_REPEAT_S", 0.02)
    server.show(picture(), {})
    viewers = [watch(server) for _ in range(MAX_VIEWERS)]
    assert status_code(server, "/stream") == 503
    assert status_code(server, "/status.json") == 200
    viewers[0].close()
    deadline_s = time.perf_counter() + LONG_S
    while status_code(server, "/stream") == 503:
        assert time.perf_counter() < deadline_s
        time.sleep(0.02)


def test_closing_ends_viewers_who_watch_stall_or_have_not_asked_within_a_second(watch):
    server = PictureServer(0)
    server.show(noise((480, 640)), {})
    with contextlib.ExitStack() as connections:
        for request in (b"", b"GET /str", b"GET /stream HTTP/1.0\r\nHost: localhost\r\n\r\n"):
            connection = connections.enter_context(socket.create_connection(("127.0.0.1", port_of(server))))
            connection.sendall(request)
        viewer = watch(server)
        for _ in range(10):
            server.show(noise((480, 640)), {})
            viewer.next()
        started_s = time.perf_counter()
        server.close()
        assert time.perf_counter() - started_s < 1.0
        assert not any(thread.name.startswith("hprnet-") for thread in threading.enumerate())
        server.close()
        server.show(picture(), {})  # the last frame on its way does no harm
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(server)))


def test_a_server_that_nobody_watched_closes():
    PictureServer(0).close()


def test_a_taken_port_is_told_of(server):
    with pytest.raises(OutputError, match=rf"port {port_of(server)}: Address already in use; choose another"):
        PictureServer(port_of(server))


def test_a_port_can_be_used_again_at_once():
    with PictureServer(0) as server:
        server.show(picture(), {})
        port = port_of(server)
        assert status_code(server, "/") == 200
    with PictureServer(port) as server:
        assert status_code(server, "/") == 200


def test_an_address_of_another_machine_is_told_of():
    with pytest.raises(OutputError, match=r"cannot show pictures on 192\.0\.2\.1 port 0: .*choose another"):
        PictureServer(0, host="192.0.2.1")


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_number_that_is_no_port_is_refused(port):
    with pytest.raises(UsageError, match="from 0 to 65535"):
        PictureServer(port)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((1, 65_501, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(server, image):
    with pytest.raises(ShapeError):
        server.show(image, {})
