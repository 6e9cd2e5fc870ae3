"""The parts of a video, put together, are its frames; what cannot be taken apart is known as such."""

from fractions import Fraction
from itertools import chain

import av
import numpy as np
import pytest

from hprnet_rt.video.index import PartDiffers, read_index
from hprnet_rt.video.reader import VideoSource
from tests import clips

B_FRAMES = {"preset": "medium", "g": "8", "sc_threshold": "0", "bf": "3"}
OPEN = {**B_FRAMES, "x264-params": "open-gop=1:b-adapt=0:b-pyramid=normal:ref=4"}
OPEN_HEVC = {"x265-params": "keyint=10:min-keyint=10:bframes=3:b-adapt=0:open-gop=1:log-level=0"}
VARYING = [n * 40 + n * n % 17 for n in range(60)]

SEEKABLE = {
    "h264.mp4": {"options": B_FRAMES},
    "open.mp4": {"options": OPEN},
    "open.mkv": {"options": OPEN},
    "open.ts": {"options": OPEN},
    "faststart.mov": {"options": B_FRAMES, "container": {"movflags": "faststart"}},
    "fragments.mp4": {"options": B_FRAMES, "container": {"movflags": "frag_keyframe+empty_moov"}},
    "h264.mkv": {"options": B_FRAMES},
    "h264.ts": {"options": B_FRAMES, "audio": "aac"},
    "late.ts": {"options": B_FRAMES, "pts": [n + 100 for n in range(60)]},
    "varying.mp4": {"options": B_FRAMES, "pts": VARYING, "time_base": Fraction(1, 1000)},
    "varying.mkv": {"options": B_FRAMES, "pts": VARYING, "time_base": Fraction(1, 1000), "audio": "aac"},
    "open hevc.mp4": {"codec": "libx265", "options": OPEN_HEVC},
    "open hevc.ts": {"codec": "libx265", "options": OPEN_HEVC},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "10"}, "frames": 30},
    "altref.webm": {
        "codec": "libvpx-vp9",
        "options": {
            "g": "16",
            "deadline": "good",
            "cpu-used": "5",
            "auto-alt-ref": "1",
            "lag-in-frames": "12",
        },
        "frames": 40,
    },
    "av1.mkv": {"codec": "libsvtav1", "options": {"g": "16", "preset": "12"}, "frames": 40},
    "mpeg2.ts": {"codec": "mpeg2video", "options": {"g": "9", "bf": "2"}},
    "mpeg4.mp4": {"codec": "mpeg4", "options": {"g": "9", "bf": "2"}},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"g": "9", "bf": "2"}},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le", "frames": 20},
    "ffv1.mkv": {"codec": "ffv1", "options": {"g": "10", "level": "3"}},
}


def straight(path):
    source = VideoSource(path)
    return list(source), source


def same(ours, theirs):
    assert [(f.sequence, f.pts, f.time_base) for f in ours] == [
        (f.sequence, f.pts, f.time_base) for f in theirs
    ]
    for one, other in zip(ours, theirs, strict=True):
        assert np.array_equal(one.image, other.image), one.sequence


def in_parts(path, least=1):
    index = read_index(path)
    parts = index.parts(least)
    return list(chain.from_iterable(VideoSource(path).part(part) for part in parts)), parts


@pytest.mark.parametrize("name", SEEKABLE)
def test_parts_are_the_frames_of_a_straight_read(tmp_path, name, monkeypatch):
    monkeypatch.setenv("SVT_LOG", "1")  # else this encoder talks
    settings = {"frames": 60, **SEEKABLE[name]}
    path = clips.make(tmp_path / name, draw=moving, **settings)
    whole, _ = straight(path)
    found, parts = in_parts(path)
    same(found, whole)
    assert len(parts) > 2
    assert name.startswith("open") <= (leading(path) > 0)
    numbers = [part.number for part in parts]
    assert numbers[0] == 0
    assert numbers == sorted(set(numbers))


def leading(path):
    """The number of packets that are shown before the key frame that they come behind."""
    with av.open(str(path)) as file:
        packets = [p for p in file.demux(video=0) if p.size]
    keys = [p.pts for p in packets if p.is_keyframe]
    return sum(max(key for key in keys if key in seen) > p.pts for p, seen in with_past(packets))


def with_past(packets):
    seen = set()
    for packet in packets:
        seen.add(packet.pts)
        yield packet, seen


def moving(index, width, height):
    """A picture in which everything moves, so that a wrong reference shows."""
    rng = np.random.default_rng(7)
    wall = np.kron(rng.integers(0, 255, (height // 4, width // 4, 3), np.uint8), np.ones((4, 4, 1), np.uint8))
    return np.ascontiguousarray(np.roll(wall, (index * 3, index * 5), (0, 1)))


def test_parts_have_at_least_so_many_frames(tmp_path):
    path = clips.make(tmp_path / "clip.mp4", frames=50, options=B_FRAMES)
    found, parts = in_parts(path, 20)
    assert [len(part.pts) for part in parts] == [24, 24, 2]
    same(found, straight(path)[0])


@pytest.mark.parametrize("turn", clips.MATRICES)
def test_parts_are_upright(tmp_path, turn):
    path = clips.set_matrix(clips.make(tmp_path / "clip.mp4", frames=30, options=B_FRAMES), turn)
    same(in_parts(path)[0], straight(path)[0])


def test_edit_list_that_hides_the_second_half(tmp_path):
    path = clips.play_half(clips.make(tmp_path / "clip.mp4", frames=60, options=B_FRAMES))
    whole, _ = straight(path)
    assert len(whole) == 30
    index = read_index(path)
    if index is not None:
        same(in_parts(path)[0], whole)


def test_edit_list_that_hides_the_beginning(tmp_path):
    path = clips.make(tmp_path / "clip.mp4", frames=60, options=B_FRAMES)
    data = bytearray(path.read_bytes())
    entry = data.index(b"elst") + 12
    media_time = int.from_bytes(data[entry + 4 : entry + 8], "big")
    data[entry + 4 : entry + 8] = (media_time + 11 * 512).to_bytes(4, "big")
    path.write_bytes(data)
    whole, _ = straight(path)
    assert len(whole) == 49
    same(in_parts(path)[0], whole)


# --- what is one part ---


def intra_refresh(path):
    return clips.make(
        path, frames=60, draw=moving, options={**B_FRAMES, "bf": "0", "x264-params": "intra-refresh=1"}
    )


def test_pictures_refreshed_little_by_little_are_no_entries(tmp_path):
    path = intra_refresh(tmp_path / "clip.mp4")
    with av.open(str(path)) as file:
        assert sum(packet.is_keyframe for packet in file.demux(video=0)) > 2  # as its container says
    assert len(read_index(path).parts(1)) == 1
    same(in_parts(path)[0], straight(path)[0])


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("clip.mpg", {"codec": "mpeg2video", "options": {"g": "9", "bf": "2"}}),
        ("altref.webm", {"codec": "libvpx", "options": {"g": "10"}}),  # has packets that are no frames
        ("clip.gif", {"codec": "gif", "pix_fmt": "rgb8"}),
    ],
)
def test_what_cannot_be_taken_apart_has_no_index(tmp_path, name, settings):
    assert read_index(clips.make(tmp_path / name, frames=30, **settings)) is None


def test_interlaced_fields_have_no_index(tmp_path):
    options = {**B_FRAMES, "flags": "+ildct+ilme"}
    assert read_index(clips.make(tmp_path / "clip.ts", frames=30, options=options)) is None


def test_cut_file_has_no_index(tmp_path):
    path = clips.make(tmp_path / "clip.mp4", options=B_FRAMES, container={"movflags": "faststart"})
    assert read_index(clips.cut(path, 0.6)) is None


def test_file_that_begins_in_the_middle_has_no_index(tmp_path):
    source = clips.make(tmp_path / "open.mkv", frames=40, options=OPEN)
    with av.open(str(source)) as file:
        packets = [p for p in file.demux(video=0) if p.dts is not None]
    second = [p.dts for p in packets if p.is_keyframe][1]
    path = clips.drop_packets(source, tmp_path / "cut.mkv", {p.dts for p in packets if p.dts < second})
    assert read_index(path) is None


def test_address_has_no_index():
    assert read_index("http://localhost/clip.mp4") is None


# --- damage ---


def spoil(path, number):
    """Overwrite most of a packet, whose length stays."""
    with av.open(str(path)) as file:
        packet = [p for p in file.demux(video=0) if p.size][number]
        begin, size = packet.pos, packet.size
    data = bytearray(path.read_bytes())
    data[begin + size // 8 : begin + size] = bytes(size - size // 8)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("number", [8, 16, 19, 30, 33])
def test_damage_inside_a_packet_is_seen_when_its_part_is_decoded(tmp_path, number):
    path = spoil(clips.make(tmp_path / "clip.mp4", frames=60, draw=moving, options=B_FRAMES), number)
    whole, _ = straight(path)
    index = read_index(path)
    right = []
    with pytest.raises(PartDiffers):
        for part in index.parts(1):
            for frame in VideoSource(path).part(part):
                right.append(frame)
    same(right, whole[: len(right)])


def test_index_of_another_file_differs(tmp_path):
    path = clips.make(tmp_path / "clip.mp4", frames=60, options=B_FRAMES)
    parts = read_index(path).parts(1)
    clips.make(path, frames=60, options={**B_FRAMES, "g": "11"})
    with pytest.raises(PartDiffers):
        list(VideoSource(path).part(parts[2]))


# --- entering a file ---


@pytest.mark.parametrize("name", ["open.mp4", "h264.ts", "varying.mkv", "late.ts"])
def test_entering_gives_the_frames_from_a_key_frame_on(tmp_path, name):
    path = clips.make(tmp_path / name, **{"frames": 60, "draw": moving, **SEEKABLE[name]})
    whole, _ = straight(path)
    for target in (whole[9], whole[16], whole[33], whole[59]):
        part = read_index(path, target.pts).from_time(target.pts)
        source = VideoSource(path)
        source.begin_at(part)
        found = list(source)
        assert 0 < part.number <= target.sequence
        same(found, whole[part.number :])
        assert source.damage is None


def test_entering_before_the_first_key_frame_is_the_beginning(tmp_path):
    path = clips.make(tmp_path / "clip.mp4", frames=30, options=B_FRAMES)
    assert read_index(path, 0).from_time(0) is None


def test_damage_behind_the_entry_is_read_as_ever(tmp_path):
    path = spoil(clips.make(tmp_path / "clip.mp4", frames=60, draw=moving, options=B_FRAMES), 40)
    whole, source = straight(path)
    damage = source.damage
    part = read_index(path, whole[20].pts).from_time(whole[20].pts)
    source = VideoSource(path)
    source.begin_at(part)
    same(list(source), whole[part.number :])
    assert source.damage == damage


def test_entry_that_is_not_there_gives_every_frame(tmp_path):
    path = clips.make(tmp_path / "clip.mp4", frames=60, options=B_FRAMES)
    part = read_index(path).from_time(VideoSource(path).first_pts + 512 * 30)
    clips.make(path, frames=60, options={**B_FRAMES, "g": "11"})
    source = VideoSource(path)
    source.begin_at(part)
    same(list(source), straight(path)[0])


def test_index_up_to_a_time_is_the_beginning_of_the_whole_one(tmp_path):
    path = clips.make(tmp_path / "clip.mp4", frames=60, options=B_FRAMES)
    whole = read_index(path)
    for until in whole.pts[[0, 7, 8, 30, 59]].tolist():
        index = read_index(path, until)
        assert index.pts.tolist() == [pts for pts in whole.pts.tolist() if pts <= until]
        assert index.entries == tuple(each for each in whole.entries if each[1].pts <= until)
