"""The paper's networks, exported once for all tests; what is refined is exported by its own tests."""

import pytest

from hprnet_rt.spec import HPRNET_DLA34
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
    """A network and the folder of its model file. DLA-34 is the real one, the others are shallow ones."""
    from hprnet_rt.backends import ModelFile
    from tests.model.recipe import EXPORTED_K, recipe_network
    from tests.model.shrunk import make_shallow

    folder = tmp_path_factory.mktemp("engines")
    with pytest.MonkeyPatch.context() as patch:
        if request.param != HPRNET_DLA34.name:
            make_shallow(patch)
        network = recipe_network(ALL_SPECS[request.param])
    export_once(network, folder / "peaks.onnx", k=EXPORTED_K)
    ModelFile.describe(folder / "peaks.onnx", network.spec, EXPORTED_K, "recipe", "none")
    yield network, folder
    for path in folder.glob("*.onnx"):
        path.unlink()
