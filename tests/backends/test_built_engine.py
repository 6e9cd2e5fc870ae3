"""The JSON beside a built engine: whatever differs is refused, in a sentence with the way out."""

import dataclasses
import json

import pytest

from hprnet_rt.backends.built_engine import (
    EngineRecipe,
    check_sidecar,
    sidecar_path,
    spec_sha256,
    write_sidecar,
)
from hprnet_rt.errors import ModelError
from hprnet_rt.spec import HPRNET_DLA34, HPRNET_MOBILE

RECIPE = EngineRecipe(
    backend="tensorrt-rtx",
    model="hprnet-mobile",
    spec_sha256=spec_sha256(HPRNET_MOBILE),
    onnx_sha256="ab" * 32,
    k=32,
    precision="fp16",
    batch=(1, 8),
    height=(224, 224),
    width=(384, 384),
    gpus=("sm86", "sm89"),
    library="tensorrt_rtx",
    library_version="1.7.1",
)
OTHER = {
    "backend": "tensorrt",
    "model": "hprnet-dla34",
    "spec_sha256": spec_sha256(HPRNET_DLA34),
    "onnx_sha256": "cd" * 32,
    "k": 100,
    "precision": "fp32",
    "batch": [1, 1],
    "height": [384, 384],
    "width": [512, 512],
    "gpus": [],
    "library": "tensorrt",
    "library_version": "1.6.0",
    "tensors": {},
}
COMMAND = (
    "hprnet-rt build hprnet-mobile --backend tensorrt-rtx --precision fp16 --size 384x224 --batch 1:8 "
    "--gpu sm86,sm89"
)


def test_the_command_that_builds_it_names_another_number_of_people():
    assert RECIPE.command == COMMAND
    assert dataclasses.replace(RECIPE, k=64).command == f"{COMMAND} --k 64"


@pytest.fixture
def engine(tmp_path):
    path = tmp_path / f"{RECIPE.stem}.engine"
    path.write_bytes(b"an engine")
    write_sidecar(path, RECIPE, HPRNET_MOBILE, build_seconds=2.0)
    return path


def refusal(engine, wanted=RECIPE):
    with pytest.raises(ModelError) as raised:
        check_sidecar(engine, wanted)
    text = str(raised.value)
    assert text.endswith(f"build it again: {wanted.command}")
    return text


def test_an_engine_that_is_what_is_wanted_passes(engine):
    check_sidecar(engine, RECIPE)


def test_every_field_of_a_recipe_is_compared():
    fields = {each.name for each in dataclasses.fields(EngineRecipe)}
    assert fields == OTHER.keys() - {"tensors"}


@pytest.mark.parametrize("field", OTHER)
def test_a_field_that_differs_is_named_with_both_values(engine, field):
    sidecar = sidecar_path(engine)
    data = json.loads(sidecar.read_text())
    before, data[field] = data[field], OTHER[field]
    sidecar.write_text(json.dumps(data))
    text = refusal(engine)
    assert f"another {field.replace('_', ' ')}:" in text
    for value in (before, OTHER[field]):
        shown = value if isinstance(value, str) else json.dumps(value)
        assert shown[:12] in text
    assert COMMAND in text


@pytest.mark.parametrize("field", OTHER)
def test_a_field_that_is_missing_is_named(engine, field):
    sidecar = sidecar_path(engine)
    data = json.loads(sidecar.read_text())
    del data[field]
    sidecar.write_text(json.dumps(data))
    assert field.replace("_", " ") in refusal(engine)


def test_a_damaged_engine_is_refused(engine):
    engine.write_bytes(b"an engin")
    assert "damaged" in refusal(engine)


def test_an_engine_that_is_gone_is_refused(engine):
    engine.unlink()
    assert "cannot be read" in refusal(engine)


@pytest.mark.parametrize("text", ["not json", "[]", '{"format": "hprnet-rt-built/0"}'])
def test_a_json_of_something_else_is_refused(engine, text):
    sidecar_path(engine).write_text(text)
    refusal(engine)


def test_an_engine_without_its_json_is_refused(engine):
    sidecar_path(engine).unlink()
    assert "beside it" in refusal(engine)


def test_recipes_that_differ_have_different_file_names():
    stems = {RECIPE.stem}
    for name, value in OTHER.items():
        if name != "tensors":
            changed = tuple(value) if isinstance(value, list) else value
            stems.add(dataclasses.replace(RECIPE, **{name: changed}).stem)
    assert len(stems) == len(OTHER)
