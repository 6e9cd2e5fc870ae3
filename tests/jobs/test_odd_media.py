"""What annotate keeps of unusual videos: labels, proportions, sizes that change, trimmed beginnings."""

import gc
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange

from hprnet_rt.video import VideoSource
from tests import clips

BT709 = 1
BT2020, PQ = 9, 16
"""FFmpeg's numbers of primaries and matrix, and of HDR10's transfer."""


def make(path, *, size=(160, 96), pix_fmt="yuv420p", color=None, aspect=None, frames=6, rate=25, audio=False):
    """Write an H.264 clip with labels: color is (matrix, primaries, transfer), aspect that of a pixel."""
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        (video.width, video.height), video.pix_fmt = size, pix_fmt
        context = video.codec_context
        if color:
            context.colorspace, context.color_primaries, context.color_trc = color
        if aspect:
            context.sample_aspect_ratio = aspect
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(clips.picture(index, *size), format="bgr24")
            file.mux(video.encode(frame.reformat(format=pix_fmt)))
        file.mux(video.encode(None))
    return path


def first_frame(path):
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        return stream.sample_aspect_ratio, next(file.decode(stream))


@pytest.mark.parametrize(
    ("pix_fmt", "color"),
    [("yuv420p", (BT709, BT709, BT709)), ("yuv420p10le", (BT2020, BT2020, PQ))],
)
def test_colours_are_labelled_as_they_were(annotate_small, tmp_path, pix_fmt, color):
    source = make(tmp_path / "clip.mp4", pix_fmt=pix_fmt, color=color)
    assert annotate_small(source, "-o", tmp_path / "out.mp4", "--crf", "0")[0] == 0
    _, frame = first_frame(tmp_path / "out.mp4")
    assert frame.format.name == "yuv420p"
    assert (int(frame.colorspace), int(frame.color_primaries), int(frame.color_trc)) == color
    before = first_frame(source)[1].reformat(format="yuv420p").to_ndarray()
    # the same numbers under the same labels: a player shows the same colours
    assert np.abs(before.astype(int) - frame.to_ndarray()).mean() < 0.7  # some beyond what RGB can have


def test_full_range_becomes_limited_range_of_the_same_colours(annotate_small, tmp_path):
    source = clips.make(tmp_path / "phone.mp4", frames=3, pix_fmt="yuvj420p", options={"color_range": "pc"})
    assert int(first_frame(source)[1].color_range) == ColorRange.JPEG
    assert annotate_small(source, "-o", tmp_path / "out.mp4", "--crf", "0")[0] == 0
    (_, before), *_ = clips.decodable(source)
    (_, after), *_ = clips.decodable(tmp_path / "out.mp4")
    assert int(first_frame(tmp_path / "out.mp4")[1].color_range) != ColorRange.JPEG
    assert np.abs(before.mean(axis=(0, 1)) - after.mean(axis=(0, 1))).max() < 1.5  # PyAV cuts digits off


@pytest.mark.parametrize(("turn", "expected"), [(None, Fraction(4, 3)), (90, Fraction(3, 4))])
def test_pixels_that_are_not_square_stay_so_upright(annotate_small, tmp_path, turn, expected):
    source = make(tmp_path / "anamorphic.mp4", aspect=Fraction(4, 3))
    if turn:
        clips.set_matrix(source, turn)
    assert annotate_small(source, "-o", tmp_path / "out.mp4")[0] == 0
    assert first_frame(tmp_path / "out.mp4")[0] == expected


@pytest.mark.parametrize("turn", [90, 270])
def test_odd_sizes_turned_in_ten_bits(annotate_small, tmp_path, turn):
    source = clips.make(
        tmp_path / "odd.mp4", frames=3, size=(161, 97), pix_fmt="yuv444p10le", draw=clips.corner
    )
    clips.set_matrix(source, turn)
    assert annotate_small(source, "-o", tmp_path / "out")[0] == 0
    header, _ = clips.read_keypoints(tmp_path / "out" / "odd.jsonl")
    assert (header["width"], header["height"]) == (97, 161)
    frames = clips.decodable(tmp_path / "out" / "odd.mp4")
    assert {image.shape for _, image in frames} == {(162, 98, 3)}
    assert clips.corners(frames[0][1]) == {"upper right" if turn == 90 else "lower left"}


def test_size_that_changes_in_the_middle_is_brought_to_the_first(annotate_small, tmp_path):
    parts = [
        clips.make(tmp_path / f"{n}.h264", frames=8, size=size)
        for n, size in enumerate(((160, 96), (96, 160)))
    ]
    source = tmp_path / "joined.h264"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    sizes = [image.shape[:2] for _, image in clips.decodable(source)]
    assert set(sizes) == {(96, 160), (160, 96)}
    code, _, err = annotate_small(source, "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    frames = clips.decodable(tmp_path / "out" / "joined.mp4")
    assert [image.shape for _, image in frames] == [(96, 160, 3)] * len(sizes)
    assert len(clips.read_keypoints(tmp_path / "out" / "joined.jsonl")[1]) == len(sizes)


@pytest.mark.parametrize("name", ["clip.mov", "clip.m4v", "clip.mkv", "clip.3gp"])
def test_sound_and_reordered_frames_keep_step_in_every_container(annotate_small, tmp_path, name):
    source = clips.make(
        tmp_path / name, frames=25, audio="aac", options={"preset": "veryfast", "bf": "3"}, rate=25
    )
    code, _, err = annotate_small(source, "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    result = tmp_path / "out" / "clip.mp4"
    assert clips.times(result) == clips.times(source)
    before, after = clips.audio_packets(source), clips.audio_packets(result)
    assert [data for data, _ in after] == [data for data, _ in before]
    # Matroska's times are whole milliseconds
    assert max(abs(a - b) for (_, a), (_, b) in zip(after, before, strict=True)) <= Fraction(1, 1000)


def test_beginning_that_an_edit_list_hides_stays_hidden(annotate_small, tmp_path):
    source = clips.make(tmp_path / "trim.mp4", frames=40, options={"g": "10", "bf": "0"})
    data = bytearray(source.read_bytes())
    entry = data.index(b"elst") + 12  # after the name, version, flags and the number of entries
    with av.open(str(source)) as file:
        units = file.streams.video[0].time_base
    length = int.from_bytes(data[entry : entry + 4], "big")
    data[entry : entry + 4] = (length // 2).to_bytes(4, "big")
    data[entry + 4 : entry + 8] = int(Fraction(20, 25) / units).to_bytes(4, "big")
    source.write_bytes(data)
    expected = clips.decodable(source)
    assert 15 < len(expected) < 25
    code, _, err = annotate_small(source, "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    found = clips.decodable(tmp_path / "out" / "trim.mp4")
    assert [time for time, _ in found] == [time for time, _ in expected]
    for (_, before), (_, after) in zip(expected, found, strict=True):
        # frames differ by 5 grey levels in green
        assert abs(before[..., 1].mean() - after[..., 1].mean()) < 2.5


def test_decoded_frames_are_freed_at_once(tmp_path):
    source = VideoSource(clips.make(tmp_path / "clip.mp4", frames=60))
    gc.collect()
    gc.disable()
    try:
        before = living_frames()  # fixtures of other tests keep some
        assert sum(1 for _ in source) == 60
        kept = living_frames() - before
    finally:
        gc.enable()
        source.close()
    assert len(kept) < 10


def living_frames():
    """The `id` of every decoded frame that the garbage collector knows."""
    return {id(each) for each in gc.get_objects() if type(each) is av.VideoFrame}
