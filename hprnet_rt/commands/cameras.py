"""`hprnet-rt cameras`: a list of the cameras of this computer."""

from __future__ import annotations

import argparse

from hprnet_rt.commands.console import DONE, AddParser
from hprnet_rt.video.capture import CameraInfo, list_cameras

__all__ = ["add_parser"]


def add_parser(add: AddParser) -> None:
    """Add the command; it has no arguments."""
    cameras = add(
        description="Print a line for each camera: its number, its name, and the sizes and frames a second "
        "that it gives when asked for usual ones.",
    )
    cameras.set_defaults(run=_run)


def _run(_options: argparse.Namespace) -> int:
    cameras = list_cameras()
    for camera in cameras:
        print(_line(camera), flush=True)
    if not cameras:
        print("no camera was found")
    return DONE


def _line(camera: CameraInfo) -> str:
    modes = ", ".join(map(str, camera.modes)) if camera.opens else camera.why
    return "  ".join(part for part in (camera.device, camera.name, modes) if part)
