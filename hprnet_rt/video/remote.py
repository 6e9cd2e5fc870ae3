"""Files in object stores and archives: s3://bucket/clip.mp4 and all other addresses that fsspec opens."""

from __future__ import annotations

import glob
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from hprnet_rt.errors import BackendError, HprnetError, MediaError, OutputError, UsageError
from hprnet_rt.files import reason

__all__ = ["find_remote", "is_remote", "open_remote", "remote_bytes", "remote_name", "send", "split_remote"]

_REMOTE: Final = re.compile(r"(?!(?:https?|ftps?)://)[a-z][a-z0-9+-]+://", re.IGNORECASE)
"""One letter alone is a drive of Windows; FFmpeg opens http and ftp without fsspec."""


def is_remote(text: object) -> bool:
    """Return whether a text names a file or folder that fsspec opens."""
    return isinstance(text, str) and _REMOTE.match(text) is not None


def remote_name(url: str) -> str:
    """Return the last part of an address's path."""
    return url.split("::")[0].rstrip("/").rsplit("/", 1)[-1]


def split_remote(url: str) -> tuple[str, str]:
    """Return the folder of an address, which ends with a slash, and its name.

    Raises:
        UsageError: the address has no name.
    """
    if not url.split("://", 1)[1].strip("/"):
        raise UsageError(f"{url} names no file or folder")
    name = remote_name(url)
    return url.rstrip("/").removesuffix(name), name


@contextmanager
def _remote_errors(url: str, kind: type[MediaError | OutputError]) -> Iterator[None]:
    """Turn the errors of a file system, of whatever class, into one of ours that names the address."""
    try:
        yield
    except HprnetError:
        raise
    except Exception as error:
        verb, what = ("read", "file") if kind is MediaError else ("write", "place")
        missing = isinstance(error, FileNotFoundError)
        why = f"there is no such {what}" if missing else reason(error) or type(error).__name__
        raise kind(f"cannot {verb} {url}: {why}") from error


def _file_system(url: str) -> tuple[Any, str]:
    """Return fsspec's file system of an address, and the path in it.

    Raises:
        BackendError: fsspec, or its package for this kind of address, is not installed.
        UsageError: fsspec knows no such kind of address.
    """
    try:
        import fsspec
    except ImportError as error:
        raise BackendError(f'{url} needs a package: pip install "hprnet-rt[remote]"') from error
    try:
        system, path = fsspec.url_to_fs(url)
    except ImportError as error:
        raise BackendError(f"{url} cannot be opened: {error}") from error
    except ValueError as error:
        raise UsageError(f"{url} cannot be opened: {error}") from error
    return system, path


class _RemoteFile(io.RawIOBase):
    """An open file for FFmpeg that raises `MediaError`."""

    def __init__(self, url: str, system: Any, path: str) -> None:
        self._url = url
        self._system = system  # held because an archive is closed with its last reference
        file = system.open(path, "rb")
        # a file of memory:// is one object, whose position all readers share
        self._file = io.BytesIO(file.getvalue()) if isinstance(file, io.BytesIO) else file
        self.name = url

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        with _remote_errors(self._url, MediaError):
            return bytes(self._file.read(size))

    def seek(self, offset: int, whence: int = 0) -> int:
        with _remote_errors(self._url, MediaError):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed and hasattr(self, "_file"):
            self._file.close()
        super().close()


def open_remote(url: str) -> io.RawIOBase:
    """Open a file for reading.

    Raises:
        MediaError: the file does not exist, or cannot be read.
        BackendError, UsageError: fsspec cannot open such an address, see `find_remote`.
    """
    with _remote_errors(url, MediaError):
        system, path = _file_system(url)
        return _RemoteFile(url, system, path)


def remote_bytes(url: str) -> int | None:
    """Return the size of a file, None where it is unknown."""
    try:
        with _remote_errors(url, MediaError):
            system, path = _file_system(url)
            size = system.size(path)
    except HprnetError:
        return None
    return None if size is None else int(size)


def find_remote(url: str, takes: Callable[[Path], bool]) -> list[tuple[str, Path]]:
    """Find the files of an address, which names one, a folder, or a glob pattern.

    Args:
        url: the address.
        takes: whether a file is wanted, by its path below the folder, or by its name where a pattern has
            found it; a file that is named in full is.

    Returns:
        the addresses of the files and their paths below the folder, in the order of the addresses; none
        where a folder has none that is wanted.

    Raises:
        UsageError: there is no file, or fsspec knows no such kind of address.
        BackendError: fsspec, or its package for this kind of address, is not installed.
        MediaError: the files cannot be listed.
    """
    with _remote_errors(url, MediaError):
        system, path = _file_system(url)
        if system.isfile(path):
            return [(url, Path(remote_name(url)))]
        if system.isdir(path):
            below = path.rstrip("/") + "/"
            inside = [
                (file, Path(file.lstrip("/").removeprefix(below.lstrip("/"))))
                for file in sorted(system.find(path))
            ]
            found = [(file, place) for file, place in inside if takes(place)]
        else:
            matches = sorted(system.glob(path)) if glob.has_magic(path) else []
            named = [(file, Path(remote_name(file))) for file in matches if system.isfile(file)]
            found = [(file, place) for file, place in named if takes(place)]
            if not found:
                raise UsageError(
                    f"no file matches {url}" if glob.has_magic(path) else f"{url} does not exist"
                )
    _, *outer = url.split("::", 1)
    return [("::".join((_address(system, file), *outer)), place) for file, place in found]


def _address(system: Any, path: str) -> str:
    protocol = system.protocol if isinstance(system.protocol, str) else system.protocol[0]
    return path if is_remote(path) else f"{protocol}://{path}"


def send(local: Path, url: str, *, anew: bool) -> None:
    """Copy a file, or all files of a folder, to an address.

    Args:
        local: the file or folder.
        url: where it goes; a file there is replaced.
        anew: copy a file also where one of the same size exists.

    Raises:
        OutputError: the address cannot be written.
        BackendError, UsageError: fsspec cannot open such an address, see `find_remote`.
    """
    for file in sorted(local.rglob("*")) if local.is_dir() else [local]:
        target = url if file == local else f"{url}/{file.relative_to(local).as_posix()}"
        with _remote_errors(target, OutputError):
            system, path = _file_system(target)
            if anew or not system.exists(path) or system.size(path) != file.stat().st_size:
                system.put_file(str(file), path)
