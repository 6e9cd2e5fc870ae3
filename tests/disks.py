"""Small file systems, which are soon full."""

import subprocess
from contextlib import contextmanager

import pytest


@contextmanager
def small_disk(folder, size):
    """Mount a file system of this size ("1m") on a new folder; skip where only root could."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, timeout=10).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("only root can mount a small file system")
    yield folder
    # lazily: a file that is left open is the finding of one test, not an error of all
    subprocess.run(["umount", "-l", str(folder)], check=True, timeout=10)
