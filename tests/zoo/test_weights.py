"""Which weights a name stands for, and checkpoints that become model files."""

import sys
import threading
import types

import pytest

from hprnet_rt.backends import ModelFile
from hprnet_rt.errors import BackendError, ModelError, OutputError, UsageError
from hprnet_rt.spec import SPECS
from hprnet_rt.zoo import cache
from hprnet_rt.zoo.networks import ZOO
from hprnet_rt.zoo.people import with_people
from hprnet_rt.zoo.weights import import_checkpoint, model_file_for, weights_state
from tests.zoo import web

DLA34 = "hprnet-dla34"


@pytest.fixture
def converter(monkeypatch):
    """A converter that writes the checkpoint's own bytes as ONNX; `calls` are its arguments."""
    module = types.ModuleType("hprnet_rt.model.convert")
    module.calls = []
    module.fail = None

    def convert_checkpoint(name, checkpoint, onnx_path, *, k):
        module.calls.append((name, checkpoint, k))
        onnx_path.write_bytes(checkpoint.read_bytes())
        if module.fail:
            raise module.fail

    module.convert_checkpoint = convert_checkpoint
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "mine.pth"
    path.write_bytes(web.checkpoint(size=1000))
    return path


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_name_of_the_shipped_network_is_its_shipped_model_file(own_cache):
    assert model_file_for("hprnet-mobile") == ModelFile.find("hprnet-mobile")
    assert weights_state("hprnet-mobile") == "shipped"
    assert not own_cache.exists()


def test_network_without_weights_says_how_to_get_them():
    with pytest.raises(UsageError, match=r"hprnet-rt models pull hprnet-dla34, or .*--weights FILE"):
        model_file_for(DLA34)
    with pytest.raises(UsageError, match="none are published; give a checkpoint with --weights FILE"):
        model_file_for("hprnet-dla34-hm1")
    assert [weights_state(name) for name in ZOO] == ["shipped", *["not here"] * 2, *["none published"] * 3]


def test_checkpoint_is_converted_once(converter, checkpoint, own_cache, caplog):
    caplog.set_level("INFO")
    first = model_file_for(DLA34, checkpoint)
    assert model_file_for(DLA34, str(checkpoint)) == first
    assert converter.calls == [(DLA34, checkpoint, 32)]
    assert first.spec == SPECS[DLA34]
    assert first.path.parent == own_cache / "engines"
    assert caplog.text.count("this happens once") == 1
    checkpoint.write_bytes(web.checkpoint(seed=1, size=1000))
    assert model_file_for(DLA34, checkpoint).sha256 != first.sha256
    assert len(converter.calls) == 2


def test_weights_of_one_run_do_not_change_what_the_name_stands_for(converter, checkpoint):
    model_file_for(DLA34, checkpoint)
    assert weights_state(DLA34) == "not here"
    with pytest.raises(UsageError):
        model_file_for(DLA34)


def test_imported_model_file_is_what_the_name_stands_for(converter, checkpoint):
    imported = import_checkpoint(DLA34, checkpoint)
    assert weights_state(DLA34) == "imported"
    checkpoint.unlink()
    assert model_file_for(DLA34) == imported
    assert len(converter.calls) == 1
    assert weights_state("hprnet-dla34-hm1") == "none published"


def test_last_import_wins(converter, checkpoint, tmp_path):
    other = tmp_path / "other.pth"
    other.write_bytes(web.checkpoint(seed=1, size=1000))
    first, second = import_checkpoint(DLA34, checkpoint), import_checkpoint(DLA34, other)
    assert model_file_for(DLA34) == second != first
    import_checkpoint(DLA34, checkpoint)
    assert model_file_for(DLA34) == first
    assert len(converter.calls) == 2


def test_imported_model_file_that_is_gone_is_not_replaced_by_another(converter, checkpoint):
    fetched = cache.checkpoint_path(DLA34)
    fetched.parent.mkdir(parents=True)
    fetched.write_bytes(web.checkpoint(seed=1, size=1000))
    import_checkpoint(DLA34, checkpoint).path.unlink()
    with pytest.raises(ModelError, match=f"import it again: .* {checkpoint}"):
        model_file_for(DLA34)


def test_model_file_of_the_cache_that_is_damaged_is_made_again(converter, checkpoint):
    model_file = model_file_for(DLA34, checkpoint)
    model_file.path.write_bytes(b"rubbish")
    assert model_file_for(DLA34, checkpoint) == model_file
    assert model_file.path.read_bytes() == checkpoint.read_bytes()
    import_checkpoint(DLA34, checkpoint)
    model_file.path.write_bytes(b"rubbish")
    with pytest.raises(ModelError, match="import it again"):
        model_file_for(DLA34)


def test_model_file_of_another_version_is_made_again(converter, checkpoint, caplog):
    model_file = model_file_for(DLA34, checkpoint)
    ModelFile.describe(model_file.path, SPECS["hprnet-dla34-hm1"], 32, "", "")
    assert model_file_for(DLA34, checkpoint) == model_file
    assert "another version" in caplog.text


def test_overwrite_converts_again(converter, checkpoint):
    import_checkpoint(DLA34, checkpoint)
    import_checkpoint(DLA34, checkpoint, overwrite=True)
    assert len(converter.calls) == 2


def test_other_number_of_people_is_another_model_file_made_once_without_a_conversion(own_cache):
    shipped = ModelFile.find("hprnet-mobile")
    made = model_file_for("hprnet-mobile", k=128)
    assert (made.k, made.spec, made.bf16, made.licence) == (128, shipped.spec, shipped.bf16, shipped.licence)
    assert made.path.is_relative_to(own_cache)
    written_ns = made.path.stat().st_mtime_ns
    assert with_people(shipped, 128) == made
    assert made.path.stat().st_mtime_ns == written_ns
    assert model_file_for(made.path, k=shipped.k).path != made.path
    assert model_file_for("hprnet-mobile", k=shipped.k) == shipped


def test_a_damaged_copy_for_another_number_of_people_is_made_again():
    path = model_file_for("hprnet-mobile", k=8).path
    path.write_bytes(b"")
    assert model_file_for("hprnet-mobile", k=8).k == 8


def test_a_number_of_people_that_cannot_be_is_refused(converter, checkpoint):
    with pytest.raises(UsageError, match="k is at least 1, got 0"):
        model_file_for("hprnet-mobile", k=0)
    with pytest.raises(ModelError, match=r"the network cannot be read as ONNX|export or import it again"):
        model_file_for(DLA34, checkpoint, k=8)


@pytest.mark.parametrize("error", [ModelError("not these weights"), KeyboardInterrupt()])
def test_conversion_that_fails_leaves_nothing(converter, checkpoint, own_cache, error):
    converter.fail = error
    with pytest.raises(type(error)):
        import_checkpoint(DLA34, checkpoint)
    assert [name for name in names(own_cache) if not name.endswith(".lock")] == []
    converter.fail = None
    assert import_checkpoint(DLA34, checkpoint).path.is_file()


def test_conversion_into_a_full_disk_names_the_variable(converter, checkpoint):
    converter.fail = OutputError("cannot write x: No space left on device")
    with pytest.raises(OutputError, match=r"No space left.*HPRNET_RT_CACHE"):
        model_file_for(DLA34, checkpoint)


def test_two_conversions_at_once_make_one_model_file(converter, checkpoint):
    started, made = threading.Barrier(2), []

    def run():
        started.wait(10)
        made.append(model_file_for(DLA34, checkpoint))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert made[0] == made[1]
    assert len(converter.calls) == 1


def test_conversion_without_torch_says_what_to_install(monkeypatch, checkpoint):
    monkeypatch.setitem(sys.modules, "hprnet_rt.model.convert", None)
    with pytest.raises(BackendError, match=r'pip install "hprnet-rt\[train\]"'):
        model_file_for(DLA34, checkpoint)


def test_model_file_of_another_network_is_refused(tmp_path):
    shipped = ModelFile.find("hprnet-mobile")
    with pytest.raises(UsageError, match="holds hprnet-mobile, not hprnet-dla34"):
        model_file_for(DLA34, shipped.path)
    assert model_file_for("hprnet-mobile", shipped.path) == shipped
    assert model_file_for(shipped.path) == shipped
    with pytest.raises(UsageError, match="weights inside"):
        model_file_for(shipped.path, tmp_path / "mine.pth")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>quota</html>", "a web page"),
        (b"no weights in here", "not a PyTorch checkpoint"),
        (web.checkpoint(size=1000)[:600], "cut off"),
        (web.checkpoint(size=1000).replace(b"archive/data/0", b"archive/data/1", 1), "damaged"),
    ],
)
def test_file_that_is_no_checkpoint_is_refused_before_torch_is_loaded(tmp_path, monkeypatch, content, words):
    monkeypatch.setitem(sys.modules, "hprnet_rt.model.convert", None)
    path = tmp_path / "mine.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=words):
        model_file_for(DLA34, path)


def test_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"no such\.pth does not exist"):
        model_file_for(DLA34, tmp_path / "no such.pth")


def test_shipped_network_is_not_imported_over(checkpoint):
    with pytest.raises(UsageError, match=r"comes with the package.*--weights"):
        import_checkpoint("hprnet-mobile", checkpoint)
