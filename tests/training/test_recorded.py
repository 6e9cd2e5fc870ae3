"""A step can be recorded: after the first one it asks the host nothing and brings it nothing."""

import traceback

import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from hprnet_rt.model import create_model, save_checkpoint  # noqa: E402
from hprnet_rt.training.config import DataConfig, DataSet, Phase, Teacher, TrainConfig  # noqa: E402
from hprnet_rt.training.constants import constant  # noqa: E402
from hprnet_rt.training.loop import Trainer  # noqa: E402
from hprnet_rt.training.losses import run_of  # noqa: E402
from hprnet_rt.training.processes import ProcessGroup  # noqa: E402

SIDE = 64
ASKS = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "unique")
BRINGS = ("lift_fresh",)  # a tensor of Python's numbers


def asking():
    """Return the line of ours, or else of torch's, that asks."""
    frames = traceback.extract_stack()[:-2]
    own = [frame for frame in frames if "/hprnet_rt/" in frame.filename] or frames
    return f"{own[-1].filename}:{own[-1].lineno} {own[-1].line}"


class Questions(TorchDispatchMode):
    """Collects operations for which the host would wait for a GPU."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.__name__.split(".")[0]
        by_mask = name.startswith("index") and any(
            isinstance(index, torch.Tensor) and index.dtype == torch.bool
            for indices in args[1:2]
            if isinstance(indices, (list, tuple))
            for index in indices
        )
        if name in ASKS + BRINGS or by_mask:
            self.found.append(f"{function}, {asking()}")
        return function(*args, **(kwargs or {}))


def trainer_of(data, folder, **changes):
    """Return a run with everything that mobile-better has, in small."""
    torch.manual_seed(0)
    save_checkpoint(create_model("hprnet-mobile"), folder / "first.pth")
    weights = str(folder / "first.pth")
    config = TrainConfig(
        **changes,
        model="hprnet-mobile",
        weights=weights,
        input_px=SIDE,
        feed="device",
        augmentation="strong",
        epoch_images=64,
        optimizer="relative",
        points="size",
        labels="parts",
        ema=0.9,
        phases=(Phase(epochs=1, batch=8, labels="parts", hold=True, rates={"heads.hm": 0.0}),),
        teachers=(
            Teacher(weights, features=1, heat=1, least_person=0.3),
            Teacher(weights, features=0, heat=1, most_person=0.3),
        ),
        data=DataConfig(sets=(DataSet(str(data / "truth.json"), str(data)),)),
    )
    return Trainer(config, folder / "run", ProcessGroup.join())


def test_a_step_asks_the_host_nothing(data, tmp_path):
    """Random numbers are brought before, and Adam keeps its own on a GPU, see `make_recordable`."""
    trainer = trainer_of(data, tmp_path)
    feed = trainer._feed._feed
    feed._fixed = True  # as on a GPU
    trainer._learned(feed._made_of(feed._drawn(0).tensors()))
    draws = feed._drawn(1).tensors()
    with Questions() as questions:
        trainer._learned(feed._made_of(draws))
    elsewhere = ("super().step(closure)", "torch.tensor(self.spec")  # the network keeps these on a GPU, too
    found = [question for question in questions.found if not any(line in question for line in elsewhere)]
    assert not found, "\n".join(found)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that PyTorch can use")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_recorded_steps_learn_as_others_do(data, tmp_path, precision):
    losses = {}
    for recorded in (False, True):
        (tmp_path / str(recorded)).mkdir()
        trainer = trainer_of(data, tmp_path / str(recorded), recorded=recorded, precision=precision, seed=1)
        found = losses[recorded] = []
        trainer.run(stepped=lambda progress, found=found: found.append(progress.loss))
    assert losses[True] == pytest.approx(losses[False], rel=0.05)


def test_questions_are_noticed():
    with Questions() as questions:
        int(torch.ones(3).sum())
        torch.ones(3)[torch.ones(3) > 0]
        torch.ones(3, 3)[:, [0, 1]]
    assert len(questions.found) >= 3


def test_a_constant_is_made_once():
    device = torch.device("cpu")
    assert constant((1.0, 2.0), device) is constant((1.0, 2.0), device)
    assert constant((1, 2), device, torch.int64).dtype == torch.int64


def test_consecutive_numbers_are_a_slice():
    assert run_of([3, 4, 5]) == slice(3, 6)
    assert run_of([]) == slice(0, 0)
    with pytest.raises(ValueError, match="not consecutive"):
        run_of([1, 3])
