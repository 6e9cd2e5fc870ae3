"""Downloads of one file, through gdown, which knows Google Drive's pages and continues broken downloads."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from hprnet_rt.errors import BackendError

__all__ = ["Progress", "SourceError", "fetch_url"]

_log = logging.getLogger(__name__)

_RETRIES: Final = 2  # each continues where the last one broke off
_TIMEOUT_S: Final = (15.0, 60.0)  # to connect, and between bytes

Progress = Callable[[int, "int | None"], None]
"""Called with the bytes received so far, and the size of the file, None where it is not reported."""


class SourceError(Exception):
    """The file cannot be had from an address; the message says why."""


def fetch_url(url: str, path: Path, progress: Progress | None = None) -> None:
    """Download `url` to the file `path`, which does not exist.

    A download that breaks or is interrupted leaves the files `<name>*.part` beside `path`. The next one to
    the same path continues them, where the server supports that.

    Raises:
        SourceError: the file cannot be had from the address.
        BackendError: gdown is not installed.
        OSError: the file cannot be written.
    """
    try:
        import gdown
        import requests
    except ImportError as error:
        raise BackendError(
            'fetching weights needs the package gdown: pip install "hprnet-rt[train]"'
        ) from error

    def fetch() -> None:
        gdown.download(
            url,
            str(path),
            quiet=True,
            use_cookies=False,  # nothing is left outside the cache
            resume=True,
            progress=progress,
            timeout=_TIMEOUT_S,
            retries=_RETRIES,
        )

    kept_before = _kept_bytes(path)
    try:
        try:
            fetch()
        except gdown.DownloadError as error:
            broken = isinstance(error.__cause__, requests.RequestException)
            if broken or not kept_before or _kept_bytes(path) != kept_before:
                raise
            _log.warning("%s cannot be continued at byte %d; fetching all of it", url, kept_before)
            for part in _parts(path):
                part.unlink()
            fetch()
    except gdown.FileURLRetrievalError as error:
        page = " ".join(str(error.__context__ or error).split())
        raise SourceError(f"Google Drive does not hand the file out ({page})") from error
    except (gdown.DownloadError, requests.RequestException) as error:
        reason = error
        if isinstance(error.__cause__, requests.RequestException):
            reason = error.__cause__
        raise SourceError(_why(reason, url) + _continues(path)) from error
    except (LookupError, AssertionError, ValueError) as error:
        raise SourceError(f"its answer is not understood ({error!r})") from error
    except OSError as error:
        if error.errno is None:  # not the system's: requests complains of a certificate file, for example
            raise SourceError(str(error)) from error
        raise


def _parts(path: Path) -> list[Path]:
    return list(path.parent.glob(f"{path.name}*.part"))


def _kept_bytes(path: Path) -> int:
    return sum(part.stat().st_size for part in _parts(path))


def _continues(path: Path) -> str:
    kept = _kept_bytes(path)
    return f"; {kept / 1e6:.1f} MB are kept, and the same command continues there" if kept else ""


def _why(error: Exception, url: str) -> str:
    """Return what went wrong, in plain words: requests' messages are nested reprs of four libraries."""
    import requests

    host = urlsplit(url).hostname
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"it answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy of this machine's settings does not answer"
    if isinstance(error, requests.exceptions.SSLError):
        return (
            f"the certificate of {host} is not trusted (behind a proxy that inspects traffic, set "
            "REQUESTS_CA_BUNDLE to its certificates)"
        )
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection to {host}: it does not answer"
    text = " ".join(str(error).split())
    if isinstance(error, requests.Timeout) or "Read timed out" in text:
        return f"{host} stopped sending"
    if isinstance(error, requests.exceptions.ChunkedEncodingError) or "is incomplete" in text:
        return "the connection broke"
    if isinstance(error, requests.ConnectionError):
        system = re.search(r"\[Errno -?\d+\] ([\w ,]+)", text)
        return f"no connection to {host}: {system[1] if system else text}"
    return text
