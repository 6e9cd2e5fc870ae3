"""A small file of every kind of video and photo that people have."""

import importlib.util
from pathlib import Path
from typing import Any

from tests import clips
from tests.media import videos

FRAMES = 12


def corpus(folder: Path) -> list[Path]:
    """Write a small file of every kind, and return them."""
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("a.mp4", {"audio": "aac"}),
        ("fast.mp4", {"container": {"movflags": "faststart"}, "options": {"preset": "veryfast", "bf": "2"}}),
        ("fragments.mp4", {"container": {"movflags": "frag_keyframe+empty_moov"}, "options": {"g": "4"}}),
        ("b.mov", {"codec": "png", "pix_fmt": "rgb24"}),
        ("c.mkv", {"audio": "flac"}),
        ("d.webm", {"codec": "libvpx-vp9", "audio": "libopus"}),
        ("e.avi", {"codec": "mpeg4", "audio": "pcm_s16le"}),
        ("f.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
        ("g.gif", {"codec": "gif", "pix_fmt": "rgb8", "rate": 10}),
        ("h.ts", {"audio": "aac"}),
        ("i.mpg", {"codec": "mpeg2video", "audio": "mp2"}),
        ("j.flv", {}),
        ("k.wmv", {"codec": "wmv2"}),
        ("l.mxf", {"codec": "mpeg2video", "size": (160, 96)}),
    ]
    made = [clips.make(folder / name, frames=FRAMES, **settings) for name, settings in kinds]
    made += [
        videos.wraps(folder / "wraps.ts"),
        videos.jpegs(folder / "jpegs.mov", 6),
        videos.screen(folder / "screen.mkv"),
        videos.browser_recording(folder / "browser.webm", seconds=1.0),
        videos.last_stays(folder / "stays.mp4"),
        videos.last_stays_gif(folder / "stays.gif"),
        videos.interlaced(folder / "fields.mp4"),
        videos.tagged(folder / "tagged.mov", {"title": "bridge", "location": "+41+029/"}),
    ]
    if importlib.util.find_spec("PIL") is None or importlib.util.find_spec("pillow_heif") is None:
        return made
    from tests.media import photos

    said = {"exif": photos.exif(orientation=6), "icc_profile": photos.profile()}
    image = photos.people((240, 135))
    made += [photos.save(folder / f"photo.{kind}", image, **said) for kind in photos.KINDS]
    image.putalpha(image.convert("L"))
    return [*made, photos.save(folder / "alpha.png", image), photos.save(folder / "alpha.webp", image)]
