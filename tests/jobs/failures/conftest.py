"""The model at its smallest, a short clip, and no thread that is left behind."""

import pytest

import hprnet_rt
from hprnet_rt import cli
from hprnet_rt.commands import options as model_options
from tests import clips
from tests.jobs.failures.common import SMALL_PX, pipeline_threads


@pytest.fixture(scope="module")
def model():
    with hprnet_rt.load(input_px=SMALL_PX) as made:
        yield made


@pytest.fixture
def run(model, monkeypatch, capfd):
    """The command line in this process: (exit code, stderr); usual settings borrow `model`."""

    def load(name, **settings):
        usual = {
            "weights": None,
            "backend": "auto",
            "precision": "auto",
            "threads": None,
            "input_px": SMALL_PX,
            "threshold": None,
        }
        if (name, settings) == (model.name, usual):
            return model
        return hprnet_rt.load(name, **settings)

    monkeypatch.setattr(model_options, "load", load)
    monkeypatch.setattr(model, "close", lambda: None)

    def run(*arguments):
        size = () if "--size" in arguments else ("--size", SMALL_PX)
        code = cli.main(["annotate", *map(str, (*size, *arguments))])
        return code, capfd.readouterr().err

    return run


@pytest.fixture
def clip(tmp_path):
    return clips.make(tmp_path / "clip.mp4", frames=5)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert pipeline_threads() == []
