"""No test touches the user's cache or the network, and what could not run here is said once, at the end."""

import ipaddress
import os
import signal
import socket
from collections import defaultdict
from pathlib import Path

import pytest

import hprnet_rt

_CHECKOUT = Path(__file__).parents[1]
# Kernels are compiled once for all processes of all tests, whose cache folders are all new.
os.environ.setdefault("NUMBA_CACHE_DIR", str(_CHECKOUT / ".pytest_cache" / "kernels"))

# A shell starts what it runs in the background with Ctrl-C ignored, and every program that this starts too.
signal.signal(signal.SIGINT, signal.default_int_handler)


_SKIPPED = "hprnet-rt/skipped"


def pytest_addoption(parser):
    parser.addoption(
        "--only-skipped",
        action="store_true",
        help="run only what the last run skipped, as `make skipped` does",
    )


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--only-skipped"):
        return
    skipped = set(config.cache.get(_SKIPPED, []))
    chosen = [item for item in items if skipped & {item.nodeid, item.nodeid.partition("::")[0]}]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


def pytest_terminal_summary(terminalreporter, config):
    """Each reason for which something was skipped, with how many tests; what they are is kept for later."""
    reports = terminalreporter.stats.get("skipped", [])
    by_reason = defaultdict(list)
    for report in reports:
        reason = report.longrepr[2].removeprefix("Skipped: ")
        by_reason[reason].append(report.nodeid)
    if not config.getoption("--only-skipped") and not config.getoption("--collect-only"):
        config.cache.set(_SKIPPED, sorted({report.nodeid for report in reports}))
    if by_reason:
        terminalreporter.section("not run here")
    for reason, names in sorted(by_reason.items()):
        files = sorted({name.partition("::")[0] for name in names})
        terminalreporter.line(f"{len(names):4} of {', '.join(files)}: {reason}")


def pytest_sessionfinish(session, exitstatus):
    if session.config.getoption("--only-skipped") and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A fresh cache folder, which does not exist yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("HPRNET_RT_CACHE", str(folder))
    for name in ("HPRNET_RT_OFFLINE", "HPRNET_RT_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    return folder


def _is_here(host):
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """This machine's own servers answer, all others look as they do without a network."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def connect_here(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(address[0]):
            raise OSError(101, "Network is unreachable")
        return connect(self, address)

    def look_up_here(host, *arguments, **settings):
        if not _is_here(host):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(host, *arguments, **settings)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
    monkeypatch.setattr(socket, "getaddrinfo", look_up_here)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def small_model():
    """The shipped model at 128 pixels: fast, for pictures of nobody."""

    with hprnet_rt.load(input_px=128, threads=1) as made:
        yield made


@pytest.fixture
def annotate_small(small_model, monkeypatch, capfd):
    """`hprnet-rt annotate` in this process with the small model: (exit code, stdout, stderr)."""
    from hprnet_rt import cli
    from hprnet_rt.commands import choice

    monkeypatch.setattr(choice, "load", lambda *_, **__: small_model)
    monkeypatch.setattr(small_model, "close", lambda: None)

    def run(*arguments):
        code = cli.main(["annotate", *map(str, arguments)])
        return code, *capfd.readouterr()

    return run
