"""Functions that make small clips, and plain PyAV loops that read them back."""

import json
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

SAMPLE = Path(__file__).parents[1] / "demos" / "sample.mp4"

MATRICES = {
    90: (0, 1, -1, 0),
    180: (-1, 0, 0, -1),
    270: (0, -1, 1, 0),
    "mirror": (-1, 0, 0, 1),
}
"""Display matrices by rotation in degrees clockwise: a, b, c, d of x' = ax + cy, y' = bx + dy."""

_FAST = {
    "libx264": {"preset": "ultrafast"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}


def picture(index, width, height):
    """Draw a gradient with a bright column that moves: all frames differ, and show no people."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 200, width).astype(np.uint8)
    image[..., 1] = index * 5 % 200
    image[:, index * 3 % width] = 255
    return image


def noise(index, width, height):
    """Draw noise, which does not compress."""
    return np.random.default_rng(index).integers(0, 256, (height, width, 3), np.uint8)


def corner(_index, width, height):
    """Draw a white square in the upper left corner of a black picture."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 4, : height // 4] = 255
    return image


def make(
    path,
    *,
    frames=20,
    size=(160, 96),
    codec="libx264",
    pix_fmt="yuv420p",
    rate=25,
    time_base=None,
    pts=None,
    audio=None,
    layout="mono",
    draw=picture,
    options=None,
    container=None,
):
    """Write a clip to `path` and return `path`.

    Args:
        path: of the clip; the suffix selects the container.
        frames: number of pictures; with 0 the file has a header only.
        size: width and height in px.
        codec: of the video.
        pix_fmt: of the video.
        rate: frames a second.
        time_base: of `pts`; 1 / rate when None.
        pts: time of each frame; 0, 1, 2... when None.
        audio: codec of a tone as long as the video; None for no audio.
        layout: of the audio's channels.
        draw: function of (index, width, height) that returns an image.
        options: of the encoder, in addition to those for speed.
        container: options of the container, such as movflags.
    """
    width, height = size
    time_base = time_base or Fraction(1, rate)
    with av.open(str(path), "w", options=container or {}) as file:
        video = file.add_stream(codec, rate=rate, options={**_FAST.get(codec, {}), **(options or {})})
        video.width, video.height, video.pix_fmt = width, height, pix_fmt
        video.time_base = video.codec_context.time_base = time_base
        sound = file.add_stream(audio, rate=48000, layout=layout) if audio else None
        if not frames:
            file.start_encoding()
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(draw(index, width, height), format="bgr24")
            frame = frame.reformat(format=pix_fmt)
            frame.pts, frame.time_base = pts[index] if pts else index, time_base
            file.mux(video.encode(frame))
        if frames:
            file.mux(video.encode(None))
        if sound is not None:
            tone(file, sound, frames / rate)
    return path


def make_audio(path, *, codec="aac", seconds=0.5):
    """Write a file with audio only."""
    with av.open(str(path), "w") as file:
        tone(file, file.add_stream(codec, rate=48000, layout="mono"), seconds)
    return path


def tone(file, stream, seconds):
    """Encode a tone into a stream of an open file."""
    rate = stream.codec_context.sample_rate
    wave = 8000 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)
    frame = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    resampler = av.AudioResampler(
        stream.codec_context.format.name,
        stream.codec_context.layout,
        rate,
        stream.codec_context.frame_size or 1024,
    )
    for piece in (*resampler.resample(frame), *resampler.resample(None)):
        file.mux(stream.encode(piece))
    file.mux(stream.encode(None))


def set_matrix(path, turn):
    """Store a display matrix in the track header of an MP4 with one track, as phones do."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44  # version 0: 40 bytes of times, numbers and layers after the name
    a, b, c, d = (value << 16 for value in MATRICES[turn])
    data[matrix : matrix + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def play_half(path):
    """Store an edit list that plays the first half only, as trimming without re-encoding does."""
    data = bytearray(path.read_bytes())
    duration = data.index(b"elst") + 12  # after the name, version, flags and the number of entries
    (whole,) = struct.unpack_from(">I", data, duration)
    struct.pack_into(">I", data, duration, whole // 2)
    path.write_bytes(data)
    return path


def drop_packets(source, path, dropped):
    """Copy a clip without the packets whose dts are in `dropped`."""
    with av.open(str(source)) as file, av.open(str(path), "w") as copy:
        stream = copy.add_stream_from_template(file.streams.video[0])
        for packet in file.demux(video=0):
            if packet.dts is not None and packet.dts not in dropped:
                packet.stream = stream
                copy.mux(packet)
    return path


def cut(path, part):
    """Cut a file after the share `part` of its bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    return path


def make_jpeg_on_its_side(path, size=(160, 96)):
    """Write `corner` as a JPEG with an EXIF orientation of 90 degrees clockwise."""
    done, data = cv2.imencode(".jpg", corner(0, *size))
    assert done
    orientation = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + orientation + bytes(4)
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    jpeg = data.tobytes()
    path.write_bytes(jpeg[:2] + segment + jpeg[2:])
    return path


def make_huge_png(path, side=20_000):
    """Write a PNG that is a small file of a huge black picture."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pack = zlib.compressobj()
    row = bytes(1 + side // 8)
    body = b"".join(pack.compress(row) for _ in range(side)) + pack.flush()
    size = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    signature = b"\x89PNG\r\n\x1a\n"
    path.write_bytes(signature + chunk(b"IHDR", size) + chunk(b"IDAT", body) + chunk(b"IEND", b""))
    return path


def _decode(path):
    """Yield every frame that decodes; errors are skipped."""
    with av.open(str(path)) as file:
        packets = file.demux(video=0)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                yield from packet.decode()
            except av.error.EOFError:
                return
            except av.FFmpegError:
                continue


def _seconds(frame):
    return None if frame.pts is None else frame.pts * frame.time_base


def decodable(path):
    """Return all frames that decode, as (seconds or None, BGR image)."""
    return [(_seconds(frame), frame.to_ndarray(format="bgr24")) for frame in _decode(path)]


def times(path):
    """Return the time of each frame that decodes, as a fraction in seconds."""
    return [_seconds(frame) for frame in _decode(path)]


def audio_packets(path):
    """Return (bytes, seconds) of each packet of the first audio stream."""
    with av.open(str(path)) as file:
        return [(bytes(p), p.pts * p.time_base) for p in file.demux(audio=0) if p.size]


def read_keypoints(path):
    """Return the header and the frames of a JSONL file; every line must be complete."""
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    header, *frames = map(json.loads, text.splitlines())
    return header, frames


def corners(image):
    """Return the names of the bright corners of a picture made by `corner`."""
    height, width = image.shape[:2]
    spots = {
        "upper left": image[8, 8],
        "upper right": image[8, width - 9],
        "lower left": image[height - 9, 8],
        "lower right": image[height - 9, width - 9],
    }
    return {name for name, color in spots.items() if color.min() > 128}
