"""What tests of failures share: what is left of a run, and what was said."""

import re
import subprocess
import sys
import threading
from pathlib import Path

import av

from tests import clips

SMALL_PX = 128  # fast, and nobody is in the pictures
FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130


def pipeline_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("hprnet-")]


def names(folder):
    """All files but the one that says where to go on, which is there after a while."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".state")
    return sorted(str(path.relative_to(folder)) for path in files)


def write_nonsense(path):
    path.write_text("no pictures in here\n" * 20)


def start(*arguments, **settings):
    command = [sys.executable, "-m", "hprnet_rt", "annotate", "--size", SMALL_PX, *arguments]
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings
    )


def kept_frames(err):
    """(number, files) of the frames that a message says are kept; None when it says nothing of them."""
    found = re.search(r"the first (\d+) frames are kept in (.*?)\)?$", err.strip())
    return found and (int(found[1]), found[2].split(", "))


def count_frames(path):
    """Frames that are really in a partial file, 0 when it cannot be read."""
    if path.endswith(".jsonl"):
        return max(0, Path(path).read_bytes().count(b"\n") - 1)
    try:
        return len(clips.times(path))
    except av.FFmpegError:
        return 0
