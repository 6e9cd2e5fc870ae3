"""Where libraries keep files, with a home and without, and that they tell nobody of it."""

import ast
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import numba
import pytest

from hprnet_rt import environment
from hprnet_rt.charts import figure
from hprnet_rt.grouping import compiled
from hprnet_rt.grouping.compiled import kernel, kernel_folder
from tests import clips

CHECKOUT = Path(__file__).parents[1]
NOWHERE = Path(os.devnull, "none")  # not even root makes a folder there
posix = pytest.mark.skipif(os.name != "posix", reason="only POSIX has users and modes of this kind")


@pytest.fixture(autouse=True)
def anew():
    """What has been decided is decided again, in the test and after it."""
    decided = (environment.library_cache, environment._private_temporary)
    for each in decided:
        each.cache_clear()
    yield
    for each in decided:
        each.cache_clear()


@pytest.fixture
def homeless(monkeypatch, tmp_path):
    """No home, no choice of the user, and this folder for temporary files."""
    for name in ("HPRNET_RT_CACHE", "XDG_CACHE_HOME", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, "")  # so that what is set meanwhile goes again
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(NOWHERE))
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@posix
def test_without_a_home_there_is_one_private_folder(homeless):
    folder = environment.cache_folder()
    assert folder.parent.parent == homeless
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert environment.cache_folder() == folder
    assert environment.cache_is_temporary()
    environment.settle()  # leads others there, and so us
    assert environment.cache_folder() == folder and environment.cache_is_temporary()
    assert environment.library_cache("some") == folder.parent / "hprnet-rt" / "some"
    assert environment.library_cache("some").is_dir()


@posix
def test_without_anything_that_can_be_written_nothing_is_kept(homeless, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(NOWHERE))
    assert environment.library_cache("some") is None
    assert environment.cache_folder() == NOWHERE / ".cache" / "hprnet-rt"  # for the sentence that names it
    assert not environment.cache_is_temporary()


@posix
def test_a_user_whom_the_system_does_not_know_has_the_private_folder_too(homeless, monkeypatch):
    def unknown(user):
        raise KeyError(user)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert environment.cache_folder().is_relative_to(homeless)
    monkeypatch.setattr("tempfile.tempdir", str(NOWHERE))
    environment._private_temporary.cache_clear()
    assert environment.cache_folder().is_absolute() and not environment.cache_is_temporary()
    assert environment.library_cache("some") is None


@posix
def test_work_may_begin_in_the_folder_of_temporary_files_but_does_not_make_one(homeless, monkeypatch):
    monkeypatch.chdir(homeless)
    assert environment.library_cache("some").is_relative_to(homeless)
    monkeypatch.delenv("TMPDIR")
    environment.library_cache.cache_clear()
    environment._private_temporary.cache_clear()
    assert environment.library_cache("some") is None


@posix
def test_a_chosen_folder_that_cannot_be_written_is_named_but_not_used(homeless, monkeypatch):
    monkeypatch.setenv("HPRNET_RT_CACHE", str(NOWHERE))
    assert environment.cache_folder() == NOWHERE
    assert environment.library_cache("some").is_relative_to(homeless)
    assert not environment.cache_is_temporary()


@posix
@pytest.mark.parametrize("trap", ["link", "file", "open to others"])
def test_a_folder_that_another_has_laid_out_is_not_trusted(homeless, trap, tmp_path):
    place = homeless / f"hprnet-rt-{os.getuid()}"
    if trap == "link":
        (tmp_path / "theirs").mkdir(mode=0o700)
        place.symlink_to(tmp_path / "theirs")
    elif trap == "file":
        place.write_bytes(b"")
    else:
        place.mkdir()
        place.chmod(0o777)
    assert environment.library_cache("some") is None


@posix
def test_a_folder_without_room_is_passed_over(homeless, monkeypatch, tmp_path):
    monkeypatch.setenv("HPRNET_RT_CACHE", str(tmp_path / "chosen"))
    assert environment.library_cache("some") == tmp_path / "chosen" / "some"
    environment.library_cache.cache_clear()
    monkeypatch.setattr("shutil.disk_usage", lambda _: _Full)
    assert environment.library_cache("some") is None


class _Full:
    free = 1 << 20


def test_kernels_are_kept_in_the_cache_folder_unless_numba_is_told_another(monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "theirs"))
    assert kernel_folder() == tmp_path / "theirs"
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    assert kernel_folder() == tmp_path / "cache" / "kernels"
    made = kernel(_twice)
    assert numba.config.CACHE_DIR == ""
    assert made(21) == 42
    assert list((tmp_path / "cache" / "kernels").rglob("*.nbi"))


def test_matplotlib_keeps_its_fonts_in_the_cache_folder_unless_it_is_told_another(monkeypatch, tmp_path):
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    monkeypatch.setattr(figure, "sys", SimpleNamespace(modules={}))  # as before it is loaded
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "theirs"))
    figure.require_matplotlib()
    assert os.environ["MPLCONFIGDIR"] == str(tmp_path / "theirs")
    monkeypatch.delenv("MPLCONFIGDIR")
    figure.require_matplotlib()
    assert os.environ["MPLCONFIGDIR"] == str(tmp_path / "cache" / "matplotlib")


def _twice(number):
    return 2 * number


def test_a_kernel_that_cannot_be_kept_is_compiled_all_the_same(monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(compiled, "library_cache", lambda _: None)
    scope = {}
    exec(compile("def thrice(number):\n    return 3 * number", "<nowhere>", "exec"), scope)
    with pytest.raises(RuntimeError, match="no locator available"):
        numba.njit(cache=True)(scope["thrice"])
    assert kernel(scope["thrice"])(14) == 42


MODULES = {
    "upper.py": "from hprnet_rt.grouping.compiled import kernel\nfrom {lower} import FACTOR, less\n\n"
    "@kernel\ndef more(x):\n    return less(x) + FACTOR\n",
    "lower.py": "from hprnet_rt.grouping.compiled import kernel\n\nFACTOR = {factor}\n\n"
    "@kernel\ndef less(x):\n    return x - {step}\n",
}


def test_a_kernel_is_compiled_again_when_what_it_calls_or_reads_elsewhere_has_changed(tmp_path, monkeypatch):
    package = tmp_path / "hprnet_rt_test"
    package.mkdir()
    (package / "__init__.py").touch()
    results = []
    for factor, step in ((10, 1), (10, 2), (20, 2)):
        for name, text in MODULES.items():
            filled = text.format(lower="hprnet_rt_test.lower", factor=factor, step=step)
            if not (package / name).exists() or (package / name).read_text() != filled:
                (package / name).write_text(filled)
        script = (
            f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import hprnet_rt.grouping.compiled as c; "
            "c._PACKAGE = 'hprnet_rt_test'; from hprnet_rt_test.upper import more; print(more(5))"
        )
        done = python(script, NUMBA_CACHE_DIR=str(tmp_path / "kernels"), HOME=str(tmp_path))
        results.append(done.stdout.strip() or done.stderr)
    assert results == ["14", "13", "23"]


def python(script, **environment_):
    """A process with these variables alone, in which Python writes no files of its own."""
    variables = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environment_}
    return subprocess.run(
        [sys.executable, "-c", script],
        env=variables,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=200,
    )


@posix
@pytest.mark.parametrize(
    "script",
    [
        "import hprnet_rt.cli, sys; sys.exit(hprnet_rt.cli.main(['--help']))",
        "import hprnet_rt.cli, sys; sys.exit(hprnet_rt.cli.main(['annotate', '--help']))",
        "import hprnet_rt; hprnet_rt.load, hprnet_rt.stream, hprnet_rt.Overlay, hprnet_rt.Tracker\n"
        "from hprnet_rt.grouping.compiled import kernel_folder; print(kernel_folder())",
    ],
)
def test_commands_and_the_package_load_without_a_home(script, tmp_path):
    done = python(script, HOME=str(NOWHERE), TMPDIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    if "kernel_folder" in script:
        assert done.stdout.strip() == str(tmp_path / f"hprnet-rt-{os.getuid()}" / "hprnet-rt" / "kernels")


WATCH = """
import os, sys
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

def watch(event, arguments):
    if event == "open" and arguments[0] == os.environ["WATCH_LOG"]:
        return
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
        note = f"{event} {arguments[1:]}"
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
        note = f"write {arguments[0]}"
    elif event == "os.mkdir":
        note = f"write {arguments[0]}"
    else:
        return
    descriptor = os.open(os.environ["WATCH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, (note + "\\n").encode(errors="replace"))
    os.close(descriptor)

sys.addaudithook(watch)
"""
"""A `sitecustomize` module: every Python process that can see it writes down what it does."""


@pytest.fixture
def watched(tmp_path):
    """`python -m hprnet_rt` in an empty home, watched: what it did beside its output and its caches."""
    home, log, out = tmp_path / "home", tmp_path / "log", tmp_path / "out"
    home.mkdir()
    (tmp_path / "sitecustomize.py").write_text(WATCH)

    def run(*arguments, before=""):
        script = f"{before}\nimport runpy, sys\nsys.argv = {['hprnet-rt', *map(str, arguments)]!r}\n"
        done = python(
            script + "runpy.run_module('hprnet_rt', run_name='__main__', alter_sys=True)",
            HOME=str(home),
            TMPDIR=str(home),
            PYTHONPATH=str(tmp_path),
            WATCH_LOG=str(log),
            NUMBA_CACHE_DIR=os.environ["NUMBA_CACHE_DIR"],
        )
        allowed = (str(log), str(out), os.environ["NUMBA_CACHE_DIR"], str(home / ".cache" / "hprnet-rt"))
        log.touch()
        notes = [line for line in log.read_text().splitlines() if not _names(line, allowed)]
        written = [
            path for path in home.rglob("*") if path.is_file() and not _names(f"write {path}", allowed)
        ]
        return done, notes, written

    run.out = out
    return run


def _names(line, allowed):
    """Whether a line says that something was written which may be."""
    kind, _, path = line.partition(" ")
    return kind == "write" and (path.startswith(allowed) or path == os.devnull or path.isdigit())


COMMANDS = {
    "annotate": ["annotate", clips.SAMPLE, "-o", "{out}", "--end", "0.2", "--backend", "openvino"],
    "doctor": ["doctor"],
    "live": ["live", clips.SAMPLE, "--no-window", "-o", "{out}/live.jsonl"],
    "models": ["models"],
}


@posix
@pytest.mark.parametrize("name", COMMANDS)
def test_a_first_command_asks_no_server_and_leaves_no_file_beside_its_own(watched, name):
    watched.out.mkdir()
    arguments = [str(each).format(out=watched.out) for each in COMMANDS[name]]
    done, notes, written = watched(*arguments)
    assert done.returncode == 0, done.stderr
    assert (notes, written) == ([], [])


@posix
def test_the_watch_sees_what_is_not_allowed(watched):
    done, notes, written = watched(
        "--version",
        before="import socket, pathlib; pathlib.Path.home().joinpath('id').touch()\n"
        "try:\n    socket.getaddrinfo('127.0.0.1', 1)\nexcept OSError:\n    pass",
    )
    assert [note.split()[0] for note in notes] == ["write", "socket.getaddrinfo"], done.stderr
    assert [path.name for path in written] == ["id"]


def test_openvino_and_nncf_are_loaded_after_their_telemetry_is_off():
    done = python(
        textwrap.dedent(
            """
            import sys, hprnet_rt.backends.openvino
            assert sys.modules["openvino.tools.ovc"] and sys.modules["openvino_telemetry"] is None
            print("off")
            """
        ),
        HOME=str(NOWHERE),
    )
    assert done.stdout.strip() == "off", done.stderr
    for path in (
        each for top in ("benchmarks", "demos", "engines") for each in (CHECKOUT / top).rglob("*.py")
    ):
        early = [
            name.name
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            for name in (node.names if isinstance(node, ast.Import) else ())
            if name.name.partition(".")[0] in ("openvino", "nncf")
        ]
        assert not early, f"{path} loads {early} before hprnet_rt"
