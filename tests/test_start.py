"""How the package is loaded: late, so that Ctrl-C is a sentence from the beginning."""

import signal
import subprocess
import sys
import threading

import pytest

import hprnet_rt
from hprnet_rt.commands.console import ended_by_a_kill
from tests import clips

INTERRUPTED = 130

HOOK = """
import importlib.abc, os, runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)

class CtrlC(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, CtrlC())
sys.argv = ["hprnet-rt", "annotate", "none.mp4", "-o", "none"]
"""
STARTS = {
    "python -m": "runpy.run_module('hprnet_rt', run_name='__main__', alter_sys=True)",
    "command": "from hprnet_rt.__main__ import main\nsys.exit(main())",
}


def python(script):
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("name", ["hprnet_rt.cli", "numpy", "cv2", "numba", "hprnet_rt.commands.annotate"])
def test_ctrl_c_while_modules_are_loaded_is_a_sentence(start, name):
    done = python(HOOK.format(name=name) + STARTS[start])
    assert (done.returncode, done.stdout) == (INTERRUPTED, "")
    assert done.stderr.splitlines() == ["hprnet-rt: stopped by Ctrl-C"]


KILLED = """
import os, signal, sys, time
from contextlib import contextmanager
from hprnet_rt import cli
from hprnet_rt.commands import annotate

@contextmanager
def connect(*_):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(15))  # as Ray does
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
    yield

annotate.connect = connect
sys.exit(cli.main(["annotate", {source!r}, "-o", {out!r}, "--cluster", "local"]))
"""


def test_a_kill_while_a_cluster_starts_is_a_sentence(tmp_path):
    done = python(KILLED.format(source=str(clips.SAMPLE), out=str(tmp_path / "out")))
    assert (done.returncode, done.stdout) == (INTERRUPTED, "")
    assert done.stderr.splitlines() == ["hprnet-rt: stopped before the beginning"]
    assert list(tmp_path.iterdir()) == []


def test_signals_are_as_before_when_the_cluster_has_started():
    before = signal.getsignal(signal.SIGTERM)
    threads = threading.active_count()
    with ended_by_a_kill():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.set_wakeup_fd(-1) == -1
    assert threading.active_count() == threads


def test_public_names_are_there_when_they_are_used():
    assert sorted(hprnet_rt.__all__) == sorted(sum(hprnet_rt._PLACES.values(), ()))
    for name in hprnet_rt.__all__:
        assert getattr(hprnet_rt, name) is not None
        assert name in dir(hprnet_rt)
    with pytest.raises(AttributeError, match="no attribute 'poses'"):
        _ = hprnet_rt.poses


def test_importing_the_package_loads_next_to_nothing():
    done = python("import sys, hprnet_rt; print([m for m in ('numpy', 'cv2', 'numba') if m in sys.modules])")
    assert done.stdout.strip() == "[]", done.stderr
