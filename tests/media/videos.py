"""Videos whose times, colours, streams or tags are unusual, made from drawings and the shipped sample."""

import struct
from fractions import Fraction

import av
import cv2
import numpy as np

from tests import clips

SIZE = (160, 96)
CLOCK = 90_000  # units a second in transport streams
WRAP = 1 << 33  # units, after which the clock of transport streams begins again


def shift_clock(path, ticks):
    """Add to all times of a transport stream, modulo what its clock can count."""
    data = bytearray(path.read_bytes())
    for start in range(0, len(data), 188):
        _shift_packet(data, start, ticks)
    path.write_bytes(data)
    return path


def _shift_packet(data, start, ticks):
    control = data[start + 3] >> 4 & 3
    if control & 2:  # an adaptation field
        length = data[start + 4]
        if length and data[start + 5] & 0x10:
            base = int.from_bytes(data[start + 6 : start + 11], "big") >> 7
            rest = data[start + 10] & 0x7F
            data[start + 6 : start + 11] = ((base + ticks) % WRAP << 7 | rest).to_bytes(5, "big")
    if payload := _elementary(data, start):
        flags = data[payload + 7] >> 6
        for number in range({0: 0, 2: 1, 3: 2}[flags]):
            _shift_time(data, payload + 9 + 5 * number, ticks)


def _elementary(data, start):
    """Where a packet with times of pictures or sound begins in a packet of the transport stream, else 0."""
    control = data[start + 3] >> 4 & 3
    payload = start + 4 + (1 + data[start + 4] if control & 2 else 0)
    begins = data[start + 1] & 0x40 and control & 1
    is_one = begins and data[payload : payload + 3] == b"\0\0\1" and data[payload + 3] >= 0xBD
    return payload if is_one else 0


def _shift_time(data, at, ticks):
    a, b, c = data[at], *struct.unpack(">HH", data[at + 1 : at + 5])
    time = ((a >> 1 & 7) << 30 | (b >> 1) << 15 | c >> 1) + ticks
    data[at] = a & 0xF0 | (time >> 30 & 7) << 1 | 1
    struct.pack_into(">HH", data, at + 1, (time >> 15 & 0x7FFF) << 1 | 1, (time & 0x7FFF) << 1 | 1)


def broadcast(path, first_s):
    """A transport stream with sound and reordered pictures that begins near a time in seconds."""
    clips.make(path, audio="aac", options={"preset": "veryfast", "bf": "2"})
    return shift_clock(path, round(first_s * CLOCK))


def starts_of_sound(data):
    """Where packets of a transport stream are in which packets of sound begin."""
    starts = range(0, len(data), 188)
    return [start for start in starts if (at := _elementary(data, start)) and data[at + 3] == 0xC0]


def sound_steps_back(path, seconds=0.3):
    """A transport stream one of whose packets of sound says that it is earlier than those before."""
    clips.make(path, audio="aac")
    data = bytearray(path.read_bytes())
    starts = starts_of_sound(data)
    _shift_time(data, _elementary(data, starts[len(starts) // 2]) + 9, -round(seconds * CLOCK))
    path.write_bytes(data)
    return path


def sound_is_spoilt(path):
    """A transport stream one of whose packets of sound begins with noise."""
    clips.make(path, audio="aac")
    data = bytearray(path.read_bytes())
    starts = starts_of_sound(data)
    middle = starts[len(starts) // 2]
    begin = _elementary(data, middle)
    begin += 9 + data[begin + 8]
    data[begin : middle + 188] = bytes(n * 37 % 251 for n in range(middle + 188 - begin))
    path.write_bytes(data)
    return path


def wraps(path):
    """A transport stream whose clock begins again between its pictures."""
    return broadcast(path, WRAP / CLOCK - 0.4)


def late_mkv(path, first_s=9000):
    """Reordered pictures and no sound, from a time on."""
    return clips.make(
        path, time_base=Fraction(1, 1000), pts=[first_s * 1000 + 40 * n for n in range(20)], frames=20
    )


def jpegs(path, orientation, frames=6):
    """Photographs in a row, each with its EXIF data, as intervalometers write them."""
    tag = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + tag + bytes(4)
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    with av.open(str(path), "w") as file:
        stream = file.add_mux_stream("mjpeg", rate=10, width=SIZE[0], height=SIZE[1])
        stream.time_base = Fraction(1, 10)
        for number in range(frames):
            done, jpeg = cv2.imencode(".jpg", clips.corner(number, *SIZE))
            assert done
            packet = av.Packet(jpeg.tobytes()[:2] + segment + jpeg.tobytes()[2:])
            packet.pts = packet.dts = number
            packet.duration, packet.time_base, packet.is_keyframe = 1, Fraction(1, 10), True
            packet.stream = stream
            file.mux(packet)
    return path


def pictures(path, images, codec, pix_fmt, *, labels=None, rate=25, options=None):
    """Encode BGR images; `labels` are range, matrix, primaries and transfer."""
    height, width = images[0].shape[:2]
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        if labels:
            context = stream.codec_context
            context.color_range, context.colorspace, context.color_primaries, context.color_trc = labels
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, rate)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def flat(path, level, frames=3):
    """One grey in every pixel, without loss, in RGB."""
    return pictures(path, [np.full((64, 64, 3), level, np.uint8)] * frames, "ffv1", "bgr0")


def ramp(path):
    """Every grey in 4:2:0, without loss."""
    image = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 16, 0).repeat(3, 2)
    return pictures(path, [image], "ffv1", "yuv420p")


def screen(path, codec="libx264rgb"):
    """A recorded screen, in RGB."""
    pix_fmt = {"libx264rgb": "bgr24", "png": "rgb24"}[codec]
    options = {"crf": "0", "preset": "ultrafast"} if codec == "libx264rgb" else {}
    return pictures(path, [clips.corner(n, *SIZE) for n in range(3)], codec, pix_fmt, options=options)


def natural(path, matrix, is_full, frames=3):
    """Pictures of the sample with other labels, in 4:2:0 without loss; return the path."""
    labels = (2 if is_full else 1, matrix, matrix, matrix)
    with av.open(str(clips.SAMPLE)) as file:
        found = [frame for _, frame in zip(range(frames), file.decode(video=0), strict=False)]
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = found[0].width, found[0].height, "yuv420p"
        context = stream.codec_context
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = labels
        for number, frame in enumerate(found):
            frame.color_range, frame.colorspace = labels[:2]
            frame.pts, frame.time_base = number, Fraction(1, 25)
            frame.pict_type = 0
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def browser_recording(path, seconds=7.0):
    """VP8 at uneven times of about 17 pictures a second, which its file calls 1000, with one key frame."""
    steps = [33, 34, 66, 41, 120, 33, 66, 75]
    times = [0]
    while times[-1] < seconds * 1000:
        times.append(times[-1] + steps[len(times) % len(steps)])
    return clips.make(
        path,
        frames=len(times),
        codec="libvpx",
        rate=1000,
        time_base=Fraction(1, 1000),
        pts=times,
        options={"g": "9999", "deadline": "realtime", "cpu-used": "8"},
    )


def last_stays(path, stays_s=2.0, frames=10, *, step_s=Fraction(1, 25), options=None):
    """A clip whose last picture stays, as players show slides; with sound as long as it is shown."""
    base = Fraction(1, 12800)
    step, stays = round(step_s / base), round(Fraction(stays_s) / base)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"preset": "ultrafast", **(options or {})})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.time_base = stream.codec_context.time_base = base
        sound = file.add_stream("aac", rate=48000, layout="mono")
        packets = []
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(clips.picture(number, *SIZE), format="bgr24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = number * step, base
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for packet in packets:
            packet.duration = stays if packet.pts == (frames - 1) * step else step
            file.mux(packet)
        clips.tone(file, sound, float((frames - 1) * step_s) + float(stays_s))
    return path


def last_stays_gif(path, stays_s=3.0):
    """A GIF whose last picture stays."""
    container = {"final_delay": str(round(stays_s * 100))}
    return clips.make(path, frames=4, codec="gif", pix_fmt="rgb8", rate=10, container=container)


def interlaced(path, codec="libx264", frames=12):
    """A white bar that moves right by 8 pixels from field to field, on grey."""
    width, height = SIZE
    images = []
    for number in range(frames):
        image = np.full((height, width, 3), 90, np.uint8)
        for field in (0, 1):
            left = 4 + 8 * (2 * number + field) % (width - 40)
            image[field::2, left : left + 30] = 230
        images.append(image)
    # libx264 marks fields by its own parameters
    options = {"flags": "+ildct+ilme"}
    if codec == "libx264":
        options |= {"x264-params": "tff=1", "crf": "8", "preset": "veryfast"}
    else:
        options |= {"qscale": "2", "field_order": "tt"}
    return pictures(path, images, codec, "yuv420p", options=options)


def combs(image):
    """How much lines differ from those above and below in the same way, as in woven fields: a mean."""
    grey = image.astype(int).mean(axis=2)
    return np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2)[2:-2].mean()


PHONE_TAGS = {
    "creation_time": "2024-05-06T07:08:09.000000Z",
    "location": "+48.2000+016.3000/",
    "title": "Trial 7",
    "comment": "left leg",
}
MAKERS_TAGS = {
    "creation_time": "2024-05-06T07:08:09.000000Z",
    "com.apple.quicktime.location.ISO6709": "+48.2000+016.3000+180.000/",
    "com.apple.quicktime.make": "Apple",
    "com.apple.quicktime.model": "iPhone 15",
}
TIMECODE = "10:11:12:13"


def tagged(path, tags, *, by_name=False, timecode=TIMECODE):
    """A clip with tags and a time code, in places of their own or by their names."""
    container = {"movflags": "use_metadata_tags"} if by_name else {}
    with av.open(str(path), "w", options=container) as file:
        stream = file.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        file.metadata.update(tags)
        if timecode:
            file.metadata["timecode"] = timecode
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(clips.corner(number, *SIZE), format="bgr24")
            file.mux(stream.encode(frame.reformat(format="yuv420p")))
        file.mux(stream.encode(None))
    return path


def with_chapters(path, chapters, *, subtitles=False, first_s=0):
    """A clip of a second with chapters of (begin, end, title) in ms, and perhaps an empty subtitle track."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        if subtitles:
            file.add_mux_stream("subrip")
        file.set_chapters(
            [
                {"id": n, "start": a, "end": b, "time_base": Fraction(1, 1000), "metadata": {"title": title}}
                for n, (a, b, title) in enumerate(chapters, start=1)
            ]
        )
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(clips.corner(number, *SIZE), format="bgr24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = number + 25 * first_s, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def chapters_of(path):
    """The chapters of a file, as `with_chapters` takes them."""
    with av.open(str(path)) as file:
        return [
            (
                round(each["start"] * each["time_base"] * 1000),
                round(each["end"] * each["time_base"] * 1000),
                each["metadata"]["title"],
            )
            for each in file.chapters()
        ]
