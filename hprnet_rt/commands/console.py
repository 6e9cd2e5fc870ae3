"""Exit codes, messages and signals, which all commands share."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, TextIO

from hprnet_rt.errors import UsageError
from hprnet_rt.files import PartialFile, reason

if TYPE_CHECKING:
    from hprnet_rt.pipeline import StageSummary

__all__ = [
    "DONE",
    "FAILED",
    "INTERRUPTED",
    "WRONG_USAGE",
    "AddParser",
    "cancelled_by_signals",
    "close_standard_output",
    "complain",
    "ended_by_a_kill",
    "keep_inputs",
    "say",
    "show_progress_of",
    "stage_table",
]

DONE: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
INTERRUPTED: Final = 130

AddParser = Callable[..., argparse.ArgumentParser]
"""Makes the parser of one command: `add_parser` of `argparse`, with the command's name and help filled in."""


def complain(text: object) -> None:
    """Print an error to stderr; when stderr is gone, only the exit code tells of it."""
    try:
        print(f"hprnet-rt: {text}", file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)


def show_progress_of(*loggers: str) -> None:
    """Show the progress that these modules log, not only their warnings."""
    for name in loggers:
        logging.getLogger(name).setLevel(logging.INFO)


def close_standard_output() -> None:
    """Discard all further output to stdout, whose reader has gone, also at the interpreter's end."""
    _silence(sys.stdout)


def _silence(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(text: str, *, to_stderr: bool = False) -> None:
    """Print a line; work goes on when its reader has gone, or it cannot be written.

    Args:
        text: the line.
        to_stderr: where standard output is for keypoints.
    """
    stream = sys.stderr if to_stderr else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except BrokenPipeError:
        _silence(stream)
    except OSError as error:
        _silence(stream)
        complain(f"cannot write to standard output, and goes on without: {reason(error)}")


def keep_inputs(out: Path, inputs: Iterable[Path]) -> None:
    """Check that an output replaces no input, neither by its final name nor by that of its partial file.

    Args:
        out: a file to write, or a folder that is replaced.
        inputs: files that are read.

    Raises:
        UsageError: one of them would be overwritten.
    """
    resolved = [path.resolve() for path in inputs if path.exists()]
    for path in (out, PartialFile(out).partial):
        if path.exists() and any(path.samefile(file) or path.resolve() in file.parents for file in resolved):
            raise UsageError(f"{path} would be overwritten, but it is an input; choose another output")


def stage_table(summary: Sequence[StageSummary]) -> str:
    """Return a table of the stages' service times, one line per stage."""
    lines = ["stage        p50 ms  p95 ms"]
    lines += [
        f"{stage.name:<12} {stage.service_p50_ms:6.2f}  {stage.service_p95_ms:6.2f}" for stage in summary
    ]
    return "\n".join(lines)


@contextmanager
def ended_by_a_kill() -> Iterator[None]:
    """Let SIGTERM print a sentence and end the process at once, even in the middle of a library's call.

    Use it while no output is open, because nothing is cleaned up. Ctrl-C interrupts as usual.
    """
    receiver, sender = socket.socketpair()
    sender.setblocking(False)

    def wait() -> None:
        while number := receiver.recv(1):
            if number[0] == signal.SIGTERM:
                complain("stopped before the beginning")
                os._exit(INTERRUPTED)

    waiting = threading.Thread(target=wait, name="hprnet-kill", daemon=True)
    waiting.start()
    old_sender = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    old = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)
        signal.set_wakeup_fd(old_sender)
        sender.close()
        waiting.join()
        receiver.close()


@contextmanager
def cancelled_by_signals() -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C or SIGTERM sets; the second one interrupts at once."""
    cancelled = threading.Event()

    def handler(number: int, _frame: FrameType | None) -> None:
        cancelled.set()
        signal.signal(number, signal.default_int_handler)

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield cancelled
    finally:
        for number, old in before.items():
            signal.signal(number, old)
