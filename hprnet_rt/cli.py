"""The command line. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from hprnet_rt.commands import (
    annotate,
    bench,
    build,
    cameras,
    convert,
    doctor,
    evaluate,
    live,
    models,
    render,
    train,
)
from hprnet_rt.commands.console import DONE, FAILED, INTERRUPTED, WRONG_USAGE, close_standard_output, complain
from hprnet_rt.errors import HprnetError, UsageError
from hprnet_rt.version import __version__
from hprnet_rt.video.output import reason

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hprnet-rt",
        description="Whole-body skeletons of everyone in a video.",
        epilog="exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C",
    )
    parser.add_argument("--version", action="version", version=f"hprnet-rt {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    annotate.add_parser(commands)
    convert.add_parser(commands)
    render.add_parser(commands)
    live.add_parser(commands)
    cameras.add_parser(commands)
    models.add_parser(commands)
    build.add_parser(commands)
    train.add_parser(commands)
    evaluate.add_parser(commands)
    bench.add_parser(commands)
    doctor.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    logging.basicConfig(level=logging.WARNING, format="hprnet-rt: %(message)s", stream=sys.stderr)
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as exit_:  # argparse has printed its sentence
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
    except BrokenPipeError:  # the reader of standard output has enough
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
    try:
        print(end="", flush=True)  # noqa: T201 - what could not be written is tried again
    except OSError:
        return False
    return True
