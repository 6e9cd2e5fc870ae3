"""The image files of a data set, read from a folder or directly from tar files."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import DataError, MediaError
from hprnet_rt.video.image import decode_image

__all__ = ["ImageFiles"]

_NAMED = 3  # most missing files that an error names


@dataclass(frozen=True)
class _Place:
    """Where an image's bytes are; with `size` None they are the whole file."""

    path: Path
    offset: int = 0
    size: int | None = None


class ImageFiles:
    """The image files of the given names. All of them are located at construction.

    Args:
        names: as in the annotations, relative to the folder.
        source: a folder with the images or with .tar files of them, or those tar files themselves. A name
            matches the tar member with this path, otherwise the only member with this file name.

    Raises:
        DataError: a file is missing, is in two tar files, or a tar file cannot be read.
    """

    def __init__(self, names: Sequence[str], source: Path | Sequence[Path]) -> None:
        if isinstance(source, (str, Path)):
            folder = Path(source)
            if folder.is_file():
                places, tars = {}, [folder]
            elif folder.is_dir():
                places = _find_in_folder(names, folder)
                tars = sorted(folder.glob("*.tar")) if len(places) < len(set(names)) else []
            else:
                raise DataError(f"there is no folder or tar file {folder} with the images")
            where = str(folder)
        else:
            tars, places = [Path(path) for path in source], {}
            where = ", ".join(path.name for path in tars)
        if tars:
            members = _tar_members(tars)
            places = {
                name: members[_normal_path(name)] for name in names if _normal_path(name) in members
            } | places
        missing = sorted(set(names) - set(places))
        if missing:
            some = ", ".join(missing[:_NAMED]) + (" ..." if len(missing) > _NAMED else "")
            raise DataError(f"{len(missing)} of {len(set(names))} images are not in {where}: {some}")
        self._places = [places[name] for name in names]
        self._names = list(names)

    def __len__(self) -> int:
        return len(self._names)

    def read(self, index: int) -> npt.NDArray[np.uint8]:
        """Read the image of the index-th name: (H, W, 3) BGR, upright by its EXIF orientation.

        The file is opened anew each time, so that processes do not share a position in it.

        Raises:
            MediaError: the file cannot be read, or is not an image.
        """
        place, name = self._places[index], self._names[index]
        try:
            with place.path.open("rb") as file:
                file.seek(place.offset)
                data = file.read(-1 if place.size is None else place.size)
        except OSError as error:
            raise MediaError(f"cannot read {name} in {place.path}: {error.strerror or error}") from error
        if place.size is not None and len(data) < place.size:
            raise MediaError(f"{place.path} breaks off in {name}; copy it again")
        return decode_image(data, name, "leave it out")


def _find_in_folder(names: Iterable[str], folder: Path) -> dict[str, _Place]:
    """Return the places of the names that exist. Each folder is listed once: faster than a check per name."""
    listed: dict[Path, set[str]] = {}
    places = {}
    for name in names:
        path = folder / name
        if path.parent not in listed:
            try:
                listed[path.parent] = {entry.name for entry in path.parent.iterdir()}
            except OSError:
                listed[path.parent] = set()
        if path.name in listed[path.parent]:
            places[name] = _Place(path)
    return places


def _tar_members(tars: Sequence[Path]) -> dict[str, _Place]:
    """Return the files in the tars by path, and by file name where that is unique.

    Raises:
        DataError: a tar is missing, damaged or compressed, or a path is in two of them.
    """
    by_path: dict[str, _Place] = {}
    for path in tars:
        try:
            with tarfile.open(path, "r:") as tar:  # not compressed, or there would be no offsets
                inside = {
                    _normal_path(member.name): _Place(path, member.offset_data, member.size)
                    for member in tar
                    if member.isfile()
                }
        except FileNotFoundError as error:
            raise DataError(f"there is no tar file {path}") from error
        except tarfile.TarError as error:
            raise DataError(f"{path} is no tar file, or compressed; unpack it: {error}") from error
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from error
        twice = sorted(by_path.keys() & inside.keys())
        if twice:
            raise DataError(f"{twice[0]} is in {by_path[twice[0]].path.name} and again in {path.name}")
        by_path |= inside
    by_name: dict[str, list[_Place]] = {}
    for name, place in by_path.items():
        by_name.setdefault(PurePosixPath(name).name, []).append(place)
    return {name: places[0] for name, places in by_name.items() if len(places) == 1} | by_path


def _normal_path(name: str) -> str:
    """Return the path without a leading "./"."""
    return str(PurePosixPath(name))
