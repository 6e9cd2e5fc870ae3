"""What all commands share: exit codes, complaints, and which log lines a user sees."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Final, TextIO

from hprnet_rt.pipeline import StageSummary
from hprnet_rt.video.output import reason

__all__ = [
    "DONE",
    "FAILED",
    "INTERRUPTED",
    "WRONG_USAGE",
    "Commands",
    "cancelled_by_signals",
    "close_standard_output",
    "complain",
    "say",
    "stage_table",
    "tell",
]

DONE: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
INTERRUPTED: Final = 130

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = argparse._SubParsersAction


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


def say(text: str) -> None:
    """Print a result of a job whose work goes on although nobody may read it."""
    try:
        print(text, flush=True)
    except BrokenPipeError:  # its reader has enough
        close_standard_output()
    except UnicodeEncodeError:  # a file's name that is no text, or one of another script
        encoding = sys.stdout.encoding
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError as error:
        close_standard_output()
        complain(f"standard output takes no more ({reason(error)}); the work goes on")


def close_standard_output() -> None:
    """Nobody reads what is printed: let the rest of it vanish, also at the interpreter's end."""
    _silence(sys.stdout)


def _silence(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def stage_table(summary: Sequence[StageSummary]) -> str:
    """Each stage's service times, a line a stage."""
    lines = ["stage        p50 ms  p95 ms"]
    lines += [f"{each.name:<12} {each.service_p50_ms:6.2f}  {each.service_p95_ms:6.2f}" for each in summary]
    return "\n".join(lines)


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
