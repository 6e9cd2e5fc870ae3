"""Keypoints that survive a crash: JSON lines, and beside them the state from which to continue."""

from __future__ import annotations

import io
import json
import logging
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from hprnet_rt.errors import OutputError, UsageError
from hprnet_rt.files import PartialFile, output_errors, reason
from hprnet_rt.formats.jsonl import KeypointsSink, header_line, read_jsonl
from hprnet_rt.formats.recording import KeypointsFrame, Recording

__all__ = ["Journal", "journal_files", "named_outputs"]

_log = logging.getLogger(__name__)

_DAMAGED = (ValueError, KeyError, EOFError, zipfile.BadZipFile)
"""What reading a damaged state raises."""

_FRAMES, _BYTES, _OUTPUTS = "frames", "bytes", "outputs"


def journal_files(path: Path) -> tuple[Path, Path]:
    """Return the partial file of the keypoints `path`, and the file of the state behind them."""
    partial = PartialFile(path).partial
    return partial, partial.with_suffix(".state")


def named_outputs(path: Path, header: dict[str, Any]) -> frozenset[str]:
    """Return the names of the files that an interrupted run was completing when it ended.

    Args:
        path: the journal's final name.
        header: of that run; for another one the result is empty.
    """
    partial, state_path = journal_files(path)
    try:
        if _first_line(partial) != header_line(header):
            return frozenset()
        with np.load(state_path) as kept:
            return frozenset(kept[_OUTPUTS].tolist())
    except (OSError, *_DAMAGED):
        return frozenset()


class Journal(KeypointsSink):
    """A partial JSONL file that an interrupted run leaves, and the next one continues.

    `checkpoint` makes all lines durable and remembers what is needed to continue behind them; lines that came
    later are written again by the next run.

    Args:
        path: the final name.
        header: decides who may continue: only a run with the same one.
        again: begin anew where a run with another header has left something.
        keep: whether `commit` gives the file its final name; otherwise it is deleted.

    Attributes:
        resumed: frames of earlier runs.
        state: as of the checkpoint behind them; empty when there are none.

    Raises:
        UsageError: a run with another header has left something.
        OutputError: the file cannot be created, or not be read.
    """

    def __init__(self, path: Path, header: dict[str, Any], *, again: bool = False, keep: bool = True) -> None:
        partial, self._state_path = journal_files(path)
        self.keep = keep
        self.resumed, size = 0, 0
        self.state: dict[str, Any] = {}
        try:
            found = _last_checkpoint(partial, self._state_path)
            if found is not None and _same_header(partial, header, again):
                self.resumed, size, self.state = found
            else:
                self._state_path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot read {partial}: {reason(error)}") from error
        super().__init__(path, header, keep_bytes=size)

    def earlier_frames(self) -> Iterator[KeypointsFrame]:
        """Yield the frames of earlier runs."""
        return islice(read_jsonl(self.partial_path).frames, self.resumed)

    def recording(self) -> Recording:
        """Read all frames; the journal must be closed."""
        return read_jsonl(self.partial_path)

    def checkpoint(
        self, frames: int, state: Mapping[str, np.ndarray[Any, Any]], outputs: Sequence[str] = ()
    ) -> None:
        """Make what was written durable.

        Args:
            frames: their number, those of earlier runs included.
            state: what the next run needs to continue behind them.
            outputs: the names of files that will now appear, see `named_outputs`.

        Raises:
            OutputError: the system refuses.
        """
        packed = io.BytesIO()
        arrays: dict[str, Any] = {_FRAMES: frames, _BYTES: self.sync(), **state}
        if outputs:
            arrays[_OUTPUTS] = np.array(outputs)
        np.savez(packed, **arrays)
        temporary = self._state_path.with_suffix(".state~")
        try:
            with output_errors(self._state_path):
                with temporary.open("wb") as file:
                    file.write(packed.getbuffer())
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(self._state_path)
        except OutputError:
            temporary.unlink(missing_ok=True)
            raise

    def commit(self) -> None:
        """Give the closed file its final name, or delete it; nothing can be continued any more."""
        if self.keep:
            self._target.commit(durable=True)
        else:
            self.partial_path.unlink(missing_ok=True)
        self._state_path.unlink(missing_ok=True)


def _last_checkpoint(partial: Path, state_path: Path) -> tuple[int, int, dict[str, Any]] | None:
    """(frames, bytes, state), or None when there is nothing to continue."""
    try:
        with np.load(state_path) as kept:
            state = dict(kept)
        state.pop(_OUTPUTS, None)
        frames, size = int(state.pop(_FRAMES)), int(state.pop(_BYTES))
        if frames > 0 and partial.stat().st_size >= size:
            return frames, size, state
    except FileNotFoundError:
        return None
    except _DAMAGED as error:
        _log.warning("%s cannot be read (%s): beginning anew", state_path, error)
    return None


def _same_header(partial: Path, header: dict[str, Any], again: bool) -> bool:
    before, wanted = _first_line(partial), header_line(header)
    if before == wanted:
        return True
    if again:
        return False
    differing = _differences(before, json.loads(wanted))
    what = ", ".join(f"{name} ({old}; now {new})" for name, old, new in differing)
    raise UsageError(
        f"{partial} is of an interrupted run with another {what or 'header'}: repeat that one to continue "
        "it, or begin anew with --overwrite"
    )


def _first_line(path: Path) -> str:
    with path.open("rb") as file:
        return file.readline().decode("utf-8", "replace")


def _differences(before: str, wanted: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return what differs between two headers: (name, old value, new value); options by their own names."""
    try:
        old = json.loads(before)
        pairs = [(name, old.get(name), value) for name, value in wanted.items() if name != "options"]
        pairs += [(name, old["options"].get(name), value) for name, value in wanted["options"].items()]
    except (ValueError, KeyError, AttributeError):
        return []
    return [(name, old, new) for name, old, new in pairs if old != new]
