"""Camera devices: listing and opening them, and finding out why one does not open."""

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
_PROBED: Final = 10  # numbers that are tried where the system does not list devices
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
    """Size in pixels, frames a second (None when unknown), and whether pictures come as motion JPEG."""

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
        device: the number or path that `CameraSource` takes.
        name: the system's name for it, "" when there is none.
        opens: whether it could be opened just now.
        why: why it does not open: the rest of a sentence that begins with "camera 0"; "" when it opens.
        modes: what it gives for requests of usual sizes, without and with motion JPEG.
    """

    device: str
    name: str
    opens: bool
    why: str = ""
    modes: tuple[CameraMode, ...] = ()


def list_cameras() -> list[CameraInfo]:
    """Return the cameras of this computer; each is opened for a moment.

    On Linux the system lists them; elsewhere the devices 0 to 9 are tried, and those that open are returned.
    """
    if not sys.platform.startswith("linux"):
        probed = (_probe(str(number), "") for number in range(_PROBED))
        return [camera for camera in probed if camera.opens]
    cameras = []
    for folder in sorted(_CLASS.glob("video*"), key=lambda path: (len(path.name), path.name)):
        device = folder.name.removeprefix("video")
        if _captures(_path(device)) is False:
            continue  # a node for metadata or output beside the camera's own
        try:
            name = (folder / "name").read_text(errors="replace").strip()
        except OSError:
            name = ""
        cameras.append(_probe(device, name))
    return cameras


def _probe(device: str, name: str) -> CameraInfo:
    with quiet():
        opened = open_device(device)
        try:
            if not opened.isOpened():
                return CameraInfo(device, name, False, why_closed(device))
            return CameraInfo(device, name, True, modes=_modes(opened))
        finally:
            opened.release()


def _modes(device: cv2.VideoCapture) -> tuple[CameraMode, ...]:
    """Return what an open camera gives for requests of usual sizes, each mode once."""
    modes: dict[CameraMode, None] = {}
    for fourcc in (_RAW, _MJPG):
        device.set(cv2.CAP_PROP_FOURCC, fourcc)
        for width, height in _USUAL_PX:
            modes[configure(device, LiveOptions(width=width, height=height))] = None
    return tuple(modes)


def configure(device: cv2.VideoCapture, options: LiveOptions) -> CameraMode:
    """Request what `options` names of an open camera, and return what it gives."""
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
        width=int(device.get(cv2.CAP_PROP_FRAME_WIDTH)),
        height=int(device.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        fps=fps if fps > 0 else None,
        mjpg=int(device.get(cv2.CAP_PROP_FOURCC)) == _MJPG,
    )


def open_device(device: str) -> cv2.VideoCapture:
    """Open a camera by number or path; `isOpened` of the result is false when that failed."""
    backend = cv2.CAP_V4L2 if sys.platform.startswith("linux") else cv2.CAP_ANY
    if device.isdecimal():
        return cv2.VideoCapture(int(device), backend)
    return cv2.VideoCapture(device, backend)


def why_closed(device: str) -> str:
    """Return why a camera did not open: the rest of a sentence that begins with "camera 0"."""
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
    """Return the device's file, None on systems where cameras are not files."""
    if not sys.platform.startswith("linux"):
        return None
    return Path(f"/dev/video{int(device)}") if device.isdecimal() else Path(device)


def _captures(path: Path | None) -> bool | None:
    """Return whether a device file gives pictures, None where that cannot be found out."""
    if path is None or sys.platform == "win32":
        return None
    import fcntl

    reply = bytearray(_CAPABILITY.size)
    try:
        file = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.ioctl(file, _QUERYCAP, reply)
    except OSError as error:
        return False if error.errno == errno.ENOTTY else None  # ENOTTY: no camera driver at all
    finally:
        os.close(file)
    *_, of_device, of_node = _CAPABILITY.unpack(reply)
    return bool((of_node if of_device & _HAS_NODE_CAPABILITIES else of_device) & _CAPTURES)
