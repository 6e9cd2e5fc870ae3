"""Make demos/sample.mp4: a hand-held camera looks at three portraits on a wall, while a soft tone sounds.

    pip install matplotlib scikit-image
    python demos/make_sample.py

The photographs are works of the US government, in the public domain, and ship with these packages:
Grace Hopper (matplotlib, grace_hopper.jpg): official portrait, US Navy.
Eileen Collins (scikit-image, astronaut.png): NASA, from its Great Images database.
"""

import argparse
import math
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import skimage.data
from matplotlib import cbook

Image = npt.NDArray[np.uint8]

RATE, SECONDS, WIDTH, HEIGHT = 25, 5, 1280, 720
WALL_WIDTH, WALL_HEIGHT, RAIL_Y = 1600, 960, 792
AUDIO_RATE, TONE_HZ, TONE_GAIN = 44100, 220, 0.08
QUALITY = {"preset": "slow", "crf": "20", "threads": "1"}  # one thread: the same bytes every time
BT709, LIMITED_RANGE = 1, 1


def hang(wall: Image, photo: Image, center_xy: tuple[int, int], height: int) -> None:
    """Hang a photo, `height` px tall, on the wall in a mat and a frame that cast a shadow."""
    size = (round(height * photo.shape[1] / photo.shape[0]), height)
    picture = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    for border, color in ((16, (232, 240, 243)), (9, (38, 46, 56))):
        picture = cv2.copyMakeBorder(picture, *[border] * 4, cv2.BORDER_CONSTANT, value=color)
    h, w = picture.shape[:2]
    x, y = center_xy[0] - w // 2, center_xy[1] - h // 2
    shade = np.zeros(wall.shape[:2], np.float32)
    shade[y + 10 : y + h + 14, x + 4 : x + w + 8] = 0.45
    wall[:] = np.rint(wall * (1 - cv2.GaussianBlur(shade, (0, 0), 9)[..., None]))
    wall[y : y + h, x : x + w] = picture


def make_wall() -> Image:
    """Paint the wall that the camera looks at: lit from above, with a rail below the portraits."""
    y, x = np.mgrid[0:WALL_HEIGHT, 0:WALL_WIDTH].astype(np.float32)
    light = 1.04 - 0.3 * np.hypot((x - WALL_WIDTH / 2) / WALL_WIDTH, (y - 200) / WALL_HEIGHT)
    paint = np.where(y[..., None] < RAIL_Y, (186, 192, 180), (136, 142, 126))
    wall = np.rint(paint * light[..., None]).astype(np.uint8)
    wall[RAIL_Y : RAIL_Y + 22] = (218, 224, 226)
    wall[RAIL_Y + 22 : RAIL_Y + 28] = (104, 108, 98)
    hopper = np.asarray(cv2.imread(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))), np.uint8)
    collins = np.asarray(skimage.data.astronaut()[:, :430, ::-1], np.uint8)
    for photo, center_x in ((collins[:, ::-1], 320), (hopper, 800), (collins, 1280)):
        hang(wall, photo, (center_x, 470), 490)
    return wall


def look(wall: Image, turn: float) -> Image:
    """Return the camera's picture at `turn`, 0 to 1: it sways and comes back, so that the clip loops."""
    a = 2 * math.pi * turn
    x = WALL_WIDTH / 2 + 40 * math.sin(a) + 7 * math.sin(3 * a + 1)
    y = WALL_HEIGHT / 2 + 14 * math.sin(2 * a + 0.5) + 5 * math.sin(5 * a)
    degrees = 1.5 * math.sin(a + 2) + 0.4 * math.sin(4 * a)
    camera = cv2.getRotationMatrix2D((x, y), degrees, 0.9 - 0.05 * math.cos(2 * a))
    camera[:, 2] += np.array((WIDTH / 2 - x, HEIGHT / 2 - y))
    return np.asarray(cv2.warpAffine(wall, camera, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC), np.uint8)


def make_tone() -> av.AudioFrame:
    """Return a sine tone that fades in and out."""
    t = np.arange(SECONDS * AUDIO_RATE) / AUDIO_RATE
    tone = TONE_GAIN * np.sin(np.pi * t / SECONDS) ** 2 * np.sin(2 * np.pi * TONE_HZ * t)
    frame = av.AudioFrame.from_ndarray(tone[None].astype(np.float32), "fltp", "mono")
    frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE, 0, Fraction(1, AUDIO_RATE)
    return frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "sample.mp4")
    path = parser.parse_args().out
    wall, frames = make_wall(), RATE * SECONDS
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        video = container.add_stream("libx264", rate=RATE, options=QUALITY)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.color_range = LIMITED_RANGE
        video.codec_context.colorspace = video.codec_context.color_primaries = BT709
        video.codec_context.color_trc = BT709
        audio = container.add_stream("aac", rate=AUDIO_RATE, layout="mono", bit_rate=64000)
        container.mux([*audio.encode(make_tone()), *audio.encode(None)])
        for index in range(frames):
            picture = av.VideoFrame.from_ndarray(look(wall, index / frames), format="bgr24")
            picture = picture.reformat(format="yuv420p", dst_colorspace=BT709, dst_color_range=LIMITED_RANGE)
            picture.pts, picture.time_base = index, Fraction(1, RATE)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
