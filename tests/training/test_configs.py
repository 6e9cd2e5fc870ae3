"""The configurations in engines/training."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt.model import create_model
from hprnet_rt.training.config_file import read_config
from hprnet_rt.training.optimizer import make_optimizer

CONFIGURATIONS = sorted((Path(__file__).parents[2] / "engines" / "training").glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_every_configuration_fits_its_network(path):
    config = read_config(path)
    assert config.name == path.stem
    network = create_model("hprnet-dla34" if "hourglass" in config.model else config.model)
    for phase in config.all_phases:
        optimizer = make_optimizer(network, config, phase, network.unread)
        learning = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        assert sum(parameter.numel() for parameter in learning) > 5e3
        assert phase.schedule == "cosine" or all(drop < phase.epochs for drop in phase.drops)


def test_the_papers_configurations_have_the_papers_schedule():
    paper = [path for path in CONFIGURATIONS if not path.stem.startswith("mobile")]
    assert len(paper) == 5
    for path in paper:
        config = read_config(path)
        assert (config.epochs, config.batch, config.rate_batch, config.drops) == (140, 32, 32, (90, 120))


def test_the_shipped_models_trunk_and_body_do_not_learn():
    config = read_config(next(path for path in CONFIGURATIONS if path.stem == "mobile"))
    network = create_model("hprnet-mobile")
    make_optimizer(network, config, config.all_phases[0], ())
    for name, parameter in network.named_parameters():
        assert parameter.requires_grad == (not name.startswith("trunk.") and ".body." not in name), name
