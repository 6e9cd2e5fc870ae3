"""The files of a run, which are complete together or kept under partial names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from hprnet_rt.errors import OutputError
from hprnet_rt.types import FramePoses

__all__ = ["Outputs", "Sink", "what_is_kept"]


class Sink(Protocol):
    """A file that frames are written to, under a partial name until `commit`.

    Attributes:
        path: the final name.
        partial_path: the name until then.
    """

    path: Path
    partial_path: Path

    def write(self, item: FramePoses) -> None:
        """Write one frame.

        Raises:
            OutputError: the file cannot be written.
        """
        ...

    def close(self, *, all_audio: bool = False) -> None:
        """Complete the partial file; further calls do nothing.

        Args:
            all_audio: copy the source's sound to its end; for a sink that has any.

        Raises:
            OutputError: the end cannot be written.
        """
        ...

    def frames_kept(self) -> int:
        """Count the frames that the closed partial file really holds."""
        ...

    def commit(self) -> None:
        """Give the closed file its final name.

        Raises:
            OutputError: the system refuses.
        """
        ...


def what_is_kept(frames: int, paths: Sequence[Path]) -> str:
    """Return in words where the first frames of a run that failed are kept."""
    first = "the first frame is" if frames == 1 else f"the first {frames} frames are"
    return f"{first} kept in {', '.join(map(str, paths))}"


class Outputs:
    """Open sinks that are finished or abandoned together.

    Args:
        sinks: get every frame, in this order.

    Attributes:
        frames: written to all of them, those of earlier runs included.
    """

    def __init__(self, sinks: Sequence[Sink] = ()) -> None:
        self._sinks = list(sinks)
        self._whole = True  # every sink has all frames
        self.frames = 0

    def __len__(self) -> int:
        return len(self._sinks)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The final names."""
        return tuple(sink.path for sink in self._sinks)

    def add(self, sink: Sink) -> None:
        """Add a sink behind the others."""
        self._sinks.append(sink)

    def write(self, item: FramePoses) -> None:
        """Write one frame to every sink.

        Raises:
            OutputError: one cannot be written.
        """
        self._whole = False
        for sink in self._sinks:
            sink.write(item)
        self._whole = True
        self.frames += 1

    def count_earlier(self) -> None:
        """Count a frame that the sinks have of an earlier run."""
        self.frames += 1

    def begin_again(self, frames: int) -> None:
        """Expect that a new sink gets these frames outside of `write`, until `have_all` is called."""
        self._whole, self.frames = False, frames

    def have_all(self) -> None:
        """Declare that the new sink has got the frames that `begin_again` has announced."""
        self._whole = True

    def finish(self, *, all_audio: bool = True) -> tuple[Path, ...]:
        """Complete every file, give it its name, and return the names."""
        self.close(all_audio=all_audio)
        for sink in self._sinks:
            sink.commit()
        return self.paths

    def close(self, *, all_audio: bool = True) -> None:
        """Complete every file under its partial name."""
        self._whole = False
        for sink in self._sinks:
            sink.close(all_audio=all_audio)

    def abandon(self) -> tuple[Path, ...]:
        """Close what was done under its partial name, and return those; without a frame, leave nothing."""
        kept = []
        for sink in self._sinks:
            try:
                sink.close()
            except OutputError:  # the first error is the one to report
                self._whole = False
            frames = self.frames if self._whole else min(self.frames, sink.frames_kept())
            if frames:
                kept.append((frames, sink.partial_path))
            else:
                sink.partial_path.unlink(missing_ok=True)
        self.frames = min((frames for frames, _ in kept), default=0)
        return tuple(path for _, path in kept)
