"""The paper's networks, exported once for all tests; what is refined is exported by its own tests."""

import pytest

from tests.backends.cases import made_up_backend  # noqa: F401
from tests.specs import ALL_SPECS


@pytest.fixture(scope="session")
def export_once(shared_folder):
    """`export_onnx`, which makes each file once."""
    pytest.importorskip("torch", reason="the extra train is not installed")
    from tests.model.exports import Exports

    return Exports(shared_folder)


@pytest.fixture(scope="session", params=[name for name, spec in ALL_SPECS.items() if spec.refinement is None])
def exported(request, tmp_path_factory, export_once):
    """A network and the folder of its model file. The hourglass is a thin one: the real one takes 0.8 GB."""
    from hprnet_rt.backends import ModelFile
    from hprnet_rt.model import hourglass
    from tests.model.recipe import EXPORTED_K, recipe_network
    from tests.model.test_networks import THIN

    folder = tmp_path_factory.mktemp("engines")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hourglass, "_CHANNELS", THIN)
        network = recipe_network(ALL_SPECS[request.param])
    export_once(network, folder / "peaks.onnx", k=EXPORTED_K)
    ModelFile.describe(folder / "peaks.onnx", network.spec, EXPORTED_K, "recipe", "none")
    yield network, folder
    for path in folder.glob("*.onnx"):
        path.unlink()
