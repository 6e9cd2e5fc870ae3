"""No test leaves a thread behind, or a message of a library on the terminal."""

import threading
import time

import pytest

DEADLINE_S = 5.0


def wait_for(condition, deadline_s=DEADLINE_S):
    """Wait until `condition()` is true; whether it became so before the deadline."""
    started_s = time.perf_counter()
    pulse = threading.Event()
    while not condition():
        if time.perf_counter() - started_s > deadline_s:
            return False
        pulse.wait(0.01)
    return True


def source_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("hprnet-")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert wait_for(lambda: not source_threads()), source_threads()


@pytest.fixture(autouse=True)
def quiet_terminal(capfd):
    yield
    assert capfd.readouterr().err == ""
