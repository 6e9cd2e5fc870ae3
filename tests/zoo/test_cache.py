"""The cache folder: where it is, that files appear whole, and the error when it cannot be written."""

import json
import threading
import time

import pytest

from hprnet_rt.environment import cache_folder
from hprnet_rt.errors import HprnetError, ModelError, OutputError, UsageError
from hprnet_rt.zoo import cache

SHA = "0123456789abcdef" * 4


def test_folder_is_the_variable_then_xdg_then_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.setenv("HPRNET_RT_CACHE", "")
    assert cache_folder() == tmp_path / "xdg" / "hprnet-rt"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder().is_relative_to(tmp_path / "home")
    monkeypatch.setenv("HPRNET_RT_CACHE", "~/my cache")
    assert cache_folder() == tmp_path / "home" / "my cache"


def test_looking_makes_no_folder(own_cache):
    assert cache.files_of("hprnet-dla34") == []
    assert cache.read_record(cache.import_record_path("hprnet-dla34")) is None
    assert not own_cache.exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", False), ("0", False), ("No", False), ("1", True), ("TRUE", True), ("yes", True)],
)
def test_offline_variable(monkeypatch, text, expected):
    monkeypatch.setenv("HPRNET_RT_OFFLINE", text)
    assert cache.offline() is expected


def test_offline_variable_that_says_neither_is_refused(monkeypatch):
    monkeypatch.setenv("HPRNET_RT_OFFLINE", "perhaps")
    with pytest.raises(UsageError, match="HPRNET_RT_OFFLINE is 'perhaps'"):
        cache.offline()


def test_record_is_read_back_and_leaves_nothing_else(own_cache):
    path = cache.import_record_path("hprnet-dla34")
    cache.write_record(path, {"a": 1})
    cache.write_record(path, {"a": 2})
    assert cache.read_record(path) == {"a": 2}
    assert [file.name for file in own_cache.rglob("*") if file.is_file()] == ["hprnet-dla34.json"]


@pytest.mark.parametrize("text", ["", "[1]", '{"a": '])
def test_damaged_record_is_named(text):
    path = cache.import_record_path("hprnet-dla34")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ModelError, match=str(path)):
        cache.read_record(path)


def test_record_is_whole_at_every_moment():
    path = cache.import_record_path("hprnet-dla34")
    long = "x" * 20_000
    cache.write_record(path, {"n": -1, "long": long})
    done = threading.Event()

    def write():
        for i in range(100):
            cache.write_record(path, {"n": i, "long": long})
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert cache.read_record(path)["long"] == long
    writer.join()
    assert json.loads(path.read_text())["n"] == 99


def test_what_is_made_appears_when_it_is_complete_with_its_description_last(own_cache):
    path = cache.model_file_path("hprnet-dla34", SHA, 32)
    with cache.workshop(path) as made:
        (made / path.name).write_text("engine")
        (made / path.with_suffix(".json").name).write_text("description")
        assert cache.files_of("hprnet-dla34") == []
        cache.publish(made, path)
    assert cache.files_of("hprnet-dla34") == [path.with_suffix(".json"), path]
    assert sorted(file.name for file in path.parent.iterdir()) == [path.with_suffix(".json").name, path.name]


def test_workshop_sweeps_away_what_a_killed_process_has_left():
    path = cache.model_file_path("hprnet-dla34", SHA, 32)
    with cache.workshop(path) as made:
        (made / "half").touch()
        with cache.workshop(path) as again:
            assert again == made
            assert list(again.iterdir()) == []
    assert list(path.parent.iterdir()) == []


def test_lock_lets_one_in_at_a_time(caplog):
    path = cache.checkpoint_path("hprnet-dla34")
    order = []
    inside, waiting = threading.Event(), threading.Event()

    def second():
        inside.wait(10)
        waiting.set()
        with cache.locked(path):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with cache.locked(path):
        inside.set()
        waiting.wait(10)
        deadline = time.monotonic() + 10
        while "another process" not in caplog.text and time.monotonic() < deadline:
            thread.join(0.05)  # it must be waiting
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert "another process is making hprnet-dla34.pth" in caplog.text


def test_files_of_a_network_are_not_those_of_its_namesakes():
    names = (
        "hprnet-dla34.json",
        f"hprnet-dla34-{SHA[:12]}-k32.json",
        f"hprnet-dla34-{SHA[:12]}-k32.onnx",
        "hprnet-dla34-hm1.json",
        f"hprnet-dla34-hm1-{SHA[:12]}-k32.onnx",
    )
    folder = cache.import_record_path("hprnet-dla34").parent
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    assert {path.name for path in cache.files_of("hprnet-dla34")} == set(names[:3])
    assert {path.name for path in cache.remove("hprnet-dla34")} == set(names[:3])
    assert {path.name for path in folder.iterdir()} == set(names[3:])


@pytest.mark.parametrize("where", ["/proc/hprnet", "file/below"])
def test_folder_that_cannot_be_made_is_named_with_the_way_out(tmp_path, monkeypatch, where):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HPRNET_RT_CACHE", str(tmp_path / where))
    path = cache.checkpoint_path("hprnet-dla34")
    for attempt in (lambda: cache.write_record(path, {}), cache.workshop(path).__enter__, _lock(path)):
        with pytest.raises(OutputError, match="HPRNET_RT_CACHE") as caught:
            attempt()
        assert str(tmp_path / where) in str(caught.value)
        assert isinstance(caught.value, HprnetError)


def _lock(path):
    return lambda: cache.locked(path).__enter__()


def test_folder_that_cannot_be_read_is_named(own_cache, monkeypatch):
    def iterdir(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(own_cache), "iterdir", iterdir)
    with pytest.raises(OutputError, match="Permission denied; set HPRNET_RT_CACHE"):
        cache.files_of("hprnet-dla34")
