"""The command line. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final, NoReturn

from hprnet_rt.commands.console import DONE, FAILED, INTERRUPTED, WRONG_USAGE, close_standard_output, complain
from hprnet_rt.errors import HprnetError, UsageError
from hprnet_rt.files import reason
from hprnet_rt.version import __version__

__all__ = ["main"]


_COMMANDS: Final = {
    "annotate": ("annotate", "videos and images in, annotated ones and keypoints out"),
    "convert": ("convert", "stored keypoints from one format to another"),
    "plot": ("plot", "points of stored keypoints over time, as a chart (extra: plot)"),
    "render": ("render", "stored keypoints onto their video, without inference"),
    "live": ("live", "a camera, stream, screen or file with skeletons, now"),
    "cameras": ("cameras", "the cameras of this computer, and what they give"),
    "models": ("models", "the networks: list them, get their weights, convert checkpoints"),
    "build": ("build", "an engine for TensorRT, TensorRT-RTX or OpenVINO, or a plain ONNX file"),
    "train": ("train", "train a network (extra: train)"),
    "eval": ("evaluate", "average precision of results, or of a model, against annotations"),
    "bench": ("bench", "how long things take on this machine, and what has changed"),
    "doctor": ("doctor", "what this machine can do, and why it cannot do the rest"),
}
"""The module in `hprnet_rt.commands` and the line in the help of each command."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in a sentence, not on a page of usage."""

    def error(self, message: str) -> NoReturn:
        """Raise the error.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{message} (see {self.prog} --help)")


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser for these arguments; only the named command is imported, because imports are slow."""
    parser = _Parser(
        prog="hprnet-rt",
        description="Whole-body skeletons of everyone in a video.",
        epilog="exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C",
    )
    parser.add_argument("--version", action="version", version=f"hprnet-rt {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    named = next((text for text in arguments if not text.startswith("-")), None)
    for name, (module, summary) in _COMMANDS.items():
        add = partial(commands.add_parser, name, help=summary)
        if name == named:
            importlib.import_module(f"hprnet_rt.commands.{module}").add_parser(add)
        else:
            add()
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(level=logging.WARNING, format="hprnet-rt: %(message)s", stream=sys.stderr)
    try:
        options = _parser(given).parse_args(given)
    except UsageError as error:
        complain(error)
        return WRONG_USAGE
    except SystemExit as exit_:  # argparse has printed what was asked for
        return exit_.code if isinstance(exit_.code, int) else WRONG_USAGE
    try:
        code: int = options.run(options)
        print(end="", flush=True)  # noqa: T201
        return code
    except UsageError as error:
        complain(error)
        return WRONG_USAGE
    except HprnetError as error:
        complain(error)
        return FAILED
    except BrokenPipeError:  # the reader of standard output has gone
        close_standard_output()
        return DONE
    except OSError as error:
        if _can_print():
            raise
        close_standard_output()
        complain(f"cannot write to standard output: {reason(error)}")
        return FAILED
    except KeyboardInterrupt:
        complain("stopped by Ctrl-C")
        return INTERRUPTED


def _can_print() -> bool:
    """Return whether standard output can be written."""
    try:
        print(end="", flush=True)  # noqa: T201 - what could not be written is tried again
    except OSError:
        return False
    return True
