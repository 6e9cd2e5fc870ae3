"""No test touches the user's cache or the network, and what could not run here is said once, at the end."""

import ipaddress
import os
import shutil
import signal
import socket
from collections import defaultdict
from pathlib import Path

import pytest

import hprnet_rt
from hprnet_rt.machine import nvidia

_CHECKOUT = Path(__file__).parents[1]
# Kernels are compiled once for all processes of all tests, whose cache folders are all new.
os.environ.setdefault("NUMBA_CACHE_DIR", str(_CHECKOUT / ".pytest_cache" / "kernels"))
os.environ.setdefault(
    "MPLCONFIGDIR", str(_CHECKOUT / ".pytest_cache" / "matplotlib")
)  # its list of fonts too
# Tests side by side share the cores. Threads of torch that wait for one another keep a core busy meanwhile.
_SIDE_BY_SIDE = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if _SIDE_BY_SIDE > 1:  # not in the process that starts them, which would hand its own number down
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // _SIDE_BY_SIDE)))

# Triton looks at this when it is imported: its kernels run in an interpreter where no GPU is.
if not nvidia().gpus:
    os.environ.setdefault("TRITON_INTERPRET", "1")

# A shell starts what it runs in the background with Ctrl-C ignored, and every program that this starts too.
signal.signal(signal.SIGINT, signal.default_int_handler)

_LONGEST_FIRST = (
    "model/test_export_networks.py",
    "cluster/test_cluster.py",
    "training/test_loop.py",
    "training/test_phases.py",
    "model/test_export.py",
    "jobs/test_resume.py",
    "model/test_engine_graphs.py",
    "model/test_convert.py",
    "jobs/failures/test_stopped.py",
    "docs/test_blocks.py",
    "jobs/test_annotate_media.py",
    "training/test_losses.py",
    "building/test_int8.py",
    "test_environment.py",
    "live/test_command.py",
    "formats/test_formats.py",
)
"""Files of tests. Two of `model/` read what `test_export_networks.py` has made: they come after it."""
_SKIPPED = "hprnet-rt/skipped"
_SHARED = "shared"


def pytest_addoption(parser):
    parser.addoption(
        "--only-skipped",
        action="store_true",
        help="run what was skipped when it was last to run (make skipped)",
    )


def pytest_collection_modifyitems(config, items):
    """Side by side, a long file must not be the last one, during which all other processes are idle."""
    if config.getoption("--only-skipped"):
        skipped = set(config.cache.get(_SKIPPED, []))
        others = [item for item in items if not skipped & {item.nodeid, _file(item.nodeid)}]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]
    if _SIDE_BY_SIDE > 1:
        here = Path(__file__).parent
        rank = {here / name: number for number, name in enumerate(_LONGEST_FIRST)}
        items.sort(key=lambda item: rank.get(item.path, len(rank)))


def _file(nodeid):
    return nodeid.partition("::")[0]


def pytest_terminal_summary(terminalreporter, config):
    """Each reason for which something was skipped, once, and how much was; what it is is kept for later."""
    reports = terminalreporter.stats.get("skipped", [])
    ran = {
        each.nodeid
        for kind in ("passed", "failed", "skipped")
        for each in terminalreporter.stats.get(kind, [])
    }
    ran |= set(map(_file, ran))
    if cache := getattr(config, "cache", None):  # None with -p no:cacheprovider
        before = {name for name in cache.get(_SKIPPED, []) if name not in ran}
        cache.set(_SKIPPED, sorted(before | {report.nodeid for report in reports}))
    by_reason = defaultdict(list)
    for report in reports:
        by_reason[report.longrepr[2].removeprefix("Skipped: ")].append(report.nodeid)
    if by_reason:
        terminalreporter.section("not run here")
    for reason, names in sorted(by_reason.items()):
        files = ", ".join(sorted(set(map(_file, names))))
        parts = "all" if names == [files] else len(names)
        terminalreporter.line(f"{parts:>4} of {files}: {reason}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    shutil.rmtree(session.config._tmp_path_factory.getbasetemp() / _SHARED, ignore_errors=True)
    if session.config.getoption("--only-skipped") and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """A folder of this run of the tests, the same one in all its processes; it goes when the run ends."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / _SHARED
    folder.mkdir(exist_ok=True)
    return folder


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
    from hprnet_rt.commands import options

    monkeypatch.setattr(options, "load", lambda *_, **__: small_model)
    monkeypatch.setattr(small_model, "close", lambda: None)

    def run(*arguments):
        code = cli.main(["annotate", *map(str, arguments)])
        return code, *capfd.readouterr()

    return run
