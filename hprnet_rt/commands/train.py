"""`hprnet-rt train`: train a network as a configuration says, on one device or many."""

from __future__ import annotations

import argparse
import functools
import importlib
import math
from pathlib import Path

from hprnet_rt.commands.console import DONE, INTERRUPTED, AddParser, cancelled_by_signals, complain
from hprnet_rt.errors import BackendError, UsageError

__all__ = ["add_parser"]


def add_parser(add: AddParser) -> None:
    """Add the command and its arguments."""
    job = add(
        description="Train a network as a TOML file says. The same command continues a run that was stopped "
        "or killed. On many GPUs: torchrun --nproc-per-node=8 -m hprnet_rt train CONFIG.",
    )
    job.add_argument(
        "config", type=Path, metavar="CONFIG", help="a TOML file; engines/training has the paper's"
    )
    job.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="changes",
        help="change a value of the file, such as batch=16 or data.train_images=coco/train2017",
    )
    job.add_argument(
        "--out",
        type=Path,
        default=Path("runs"),
        metavar="FOLDER",
        help="where the run makes a folder of its own (default: runs)",
    )
    job.add_argument(
        "--seconds",
        type=float,
        default=0.0,
        metavar="S",
        help="plan the run for this training time instead of the file's epochs, which then say how "
        "the phases share it",
    )
    job.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    job.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> int:
    try:
        report = importlib.import_module("hprnet_rt.training.report")
    except ImportError as error:
        raise BackendError(
            f'training needs the package {error.name or error}: pip install "hprnet-rt[train,eval]"'
        ) from error
    if not 0 <= options.seconds < math.inf:
        raise UsageError(f"--seconds is at least 0, got {options.seconds}")
    with cancelled_by_signals() as stop:
        say = None if options.quiet else functools.partial(print, flush=True)
        complete = report.train(
            options.config, options.changes, options.out, stop=stop, say=say, seconds=options.seconds
        )
    if not complete:
        complain("stopped; the same command continues")
        return INTERRUPTED
    return DONE
