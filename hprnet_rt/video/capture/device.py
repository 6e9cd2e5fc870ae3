"""Camera devices: which there are, what they give, and why one does not open."""

from __future__ import annotations

import errno
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2

from hprnet_rt.video.capture.source import LiveOptions
from hprnet_rt.video.silence import quiet

__all__ = ["CameraInfo", "CameraMode", "configure", "list_cameras", "open_device", "why_closed"]

_CLASS: Final = Path("/sys/class/video4linux")
_PROBED: Final = 10  # device numbers, where the system does not list them
_USUAL_PX: Final = ((640, 480), (1280, 720), (1920, 1080))
_MJPG: Final = cv2.VideoWriter.fourcc(*"MJPG")
_RAW: Final = cv2.VideoWriter.fourcc(*"YUYV")

# From linux/videodev2.h: what a device node can do.
_QUERYCAP: Final = 0x80685600
_CAPABILITY: Final = struct.Struct("16s 32s 32s I I I 12x")  # driver, card, bus, version, all, this node
_HAS_NODE_CAPABILITIES: Final = 0x80000000
_CAPTURES: Final = 0x1 | 0x1000  # in one plane or in many


@dataclass(frozen=True)
class CameraMode:
    """What a camera gives: pixels, frames a second (None when it does not say), motion JPEG or not."""

    width: int
    height: int
    fps: float | None
    mjpg: bool

    def __str__(self) -> str:
        rate = "" if self.fps is None else f" at {self.fps:g}"
        return f"{self.width}x{self.height}{rate}{' mjpg' if self.mjpg else ''}"


@dataclass(frozen=True)
class CameraInfo:
    """A camera of this computer.

    Attributes:
        device: as `CameraSource` takes it.
        name: by the system, "" when it tells none.
        opens: whether it could be opened just now.
        why: when not, why not: the rest of a sentence that begins with "camera 0".
        modes: what it gives when asked for usual sizes, without and with motion JPEG.
    """

    device: str
    name: str
    opens: bool
    why: str = ""
    modes: tuple[CameraMode, ...] = ()


def list_cameras() -> list[CameraInfo]:
    """The cameras of this computer, each opened for a moment.

    On Linux the system lists them; elsewhere those of the numbers 0 to 9 that open are all that is known.
    """
    if not sys.platform.startswith("linux"):
        found = (_look(str(number), "") for number in range(_PROBED))
        return [camera for camera in found if camera.opens]
    cameras = []
    for folder in sorted(_CLASS.glob("video*"), key=lambda path: (len(path.name), path.name)):
        device = folder.name.removeprefix("video")
        if _captures(_path(device)) is False:
            continue  # a node for metadata or output beside the camera's own
        try:
            name = (folder / "name").read_text(errors="replace").strip()
        except OSError:
            name = ""
        cameras.append(_look(device, name))
    return cameras


def _look(device: str, name: str) -> CameraInfo:
    with quiet():
        opened = open_device(device)
        try:
            if not opened.isOpened():
                return CameraInfo(device, name, False, why_closed(device))
            return CameraInfo(device, name, True, modes=_modes(opened))
        finally:
            opened.release()


def _modes(device: cv2.VideoCapture) -> tuple[CameraMode, ...]:
    """What an open camera gives when asked for usual sizes, each mode once."""
    modes: dict[CameraMode, None] = {}
    for fourcc in (_RAW, _MJPG):
        device.set(cv2.CAP_PROP_FOURCC, fourcc)
        for width, height in _USUAL_PX:
            modes[configure(device, LiveOptions(width=width, height=height))] = None
    return tuple(modes)


def configure(device: cv2.VideoCapture, options: LiveOptions) -> CameraMode:
    """Ask an open camera for what `options` names; what it gives."""
    if options.mjpg:  # first: it decides which sizes and rates there are
        device.set(cv2.CAP_PROP_FOURCC, _MJPG)
    for key, value in (
        (cv2.CAP_PROP_FRAME_WIDTH, options.width),
        (cv2.CAP_PROP_FRAME_HEIGHT, options.height),
        (cv2.CAP_PROP_FPS, options.fps),
    ):
        if value is not None:
            device.set(key, value)
    fps = device.get(cv2.CAP_PROP_FPS)
    return CameraMode(
        int(device.get(cv2.CAP_PROP_FRAME_WIDTH)),
        int(device.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        fps if fps > 0 else None,
        int(device.get(cv2.CAP_PROP_FOURCC)) == _MJPG,
    )


def open_device(device: str) -> cv2.VideoCapture:
    """Open a camera by number or path; whether that worked, `isOpened` says."""
    backend = cv2.CAP_V4L2 if sys.platform.startswith("linux") else cv2.CAP_ANY
    if device.isdecimal():
        return cv2.VideoCapture(int(device), backend)
    return cv2.VideoCapture(device, backend)


def why_closed(device: str) -> str:
    """Why a camera did not open: the rest of a sentence that begins with "camera 0"."""
    path = _path(device)
    if path is None:
        return (
            "does not open: it does not exist, is used by another program, or the system's privacy settings "
            "forbid it; `hprnet-rt cameras` lists those that open"
        )
    missing = "does not exist; `hprnet-rt cameras` lists those that do"
    busy = "is used by another program; close that one, or choose another camera"
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            return (
                "may not be opened by this user; on Linux, join the group video (sudo usermod -aG video "
                "$USER) and log in again"
            )
        if error.errno == errno.EBUSY:
            return busy
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            return missing
        return f"cannot be opened: {error.strerror}; `hprnet-rt cameras` lists those that can"
    if _captures(path) is False:
        return "gives no pictures; `hprnet-rt cameras` lists those that do"
    return busy


def _path(device: str) -> Path | None:
    """The device's file, where cameras are files."""
    if not sys.platform.startswith("linux"):
        return None
    return Path(f"/dev/video{int(device)}") if device.isdecimal() else Path(device)


def _captures(path: Path | None) -> bool | None:
    """Whether a device file gives pictures; None where that cannot be asked."""
    if path is None or sys.platform == "win32":
        return None
    import fcntl

    answer = bytearray(_CAPABILITY.size)
    try:
        file = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.ioctl(file, _QUERYCAP, answer)
    except OSError as error:
        return False if error.errno == errno.ENOTTY else None  # ENOTTY: no camera driver at all
    finally:
        os.close(file)
    *_, everything, node = _CAPABILITY.unpack(answer)
    return bool((node if everything & _HAS_NODE_CAPABILITIES else everything) & _CAPTURES)
