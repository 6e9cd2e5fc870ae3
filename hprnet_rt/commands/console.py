"""What all commands share: exit codes, complaints, and which log lines a user sees."""

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
    "stage_table",
    "tell",
]

DONE: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
INTERRUPTED: Final = 130

AddParser = Callable[..., argparse.ArgumentParser]
"""Makes the parser of one command: `argparse`'s `add_parser` with the command's name and help in it."""


def complain(text: object) -> None:
    """Say what went wrong, on stderr; where nobody can read that, the exit code says it alone."""
    try:
        print(f"hprnet-rt: {text}", file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)


def tell(*loggers: str) -> None:
    """Let a user see what these modules report of their progress, not only their warnings."""
    for name in loggers:
        logging.getLogger(name).setLevel(logging.INFO)


def close_standard_output() -> None:
    """Nobody reads what is printed: let the rest of it vanish, also at the interpreter's end."""
    _silence(sys.stdout)


def _silence(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(text: str) -> None:
    """Say what was done, on stdout. Work goes on when nobody reads that any more, or it cannot be written."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except BrokenPipeError:
        close_standard_output()
    except OSError as error:
        close_standard_output()
        complain(f"cannot write to standard output, and goes on without: {reason(error)}")


def keep_inputs(out: Path, inputs: Iterable[Path]) -> None:
    """See that writing a file costs no input: neither its final name nor that of its partial file may be one.

    Args:
        out: a file to write, or a folder that is written anew.
        inputs: that are read.

    Raises:
        UsageError: one of them would be overwritten.
    """
    resolved = [path.resolve() for path in inputs if path.exists()]
    for path in (out, PartialFile(out).partial):
        if path.exists() and any(path.samefile(each) or path.resolve() in each.parents for each in resolved):
            raise UsageError(f"{path} would be overwritten, but it is an input; choose another output")


def stage_table(summary: Sequence[StageSummary]) -> str:
    """Each stage's service times, a line a stage."""
    lines = ["stage        p50 ms  p95 ms"]
    lines += [f"{each.name:<12} {each.service_p50_ms:6.2f}  {each.service_p95_ms:6.2f}" for each in summary]
    return "\n".join(lines)


@contextmanager
def ended_by_a_kill() -> Iterator[None]:
    """A polite kill ends the process at once, with a sentence, even in the middle of a library's call.

    For a time in which no output is open: nothing is cleaned up. Ctrl-C interrupts as ever.
    """
    told, teller = socket.socketpair()
    teller.setblocking(False)

    def wait() -> None:
        while number := told.recv(1):
            if number[0] == signal.SIGTERM:
                complain("stopped before the beginning")
                os._exit(INTERRUPTED)

    waiting = threading.Thread(target=wait, name="hprnet-kill", daemon=True)
    waiting.start()
    old_teller = signal.set_wakeup_fd(teller.fileno(), warn_on_full_buffer=False)
    old = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)
        signal.set_wakeup_fd(old_teller)
        teller.close()
        waiting.join()
        told.close()


@contextmanager
def cancelled_by_signals() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C (or a polite kill) sets; the second one interrupts at once."""
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
