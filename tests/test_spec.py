import json

import pytest

from hprnet_rt.errors import ModelError
from hprnet_rt.skeleton import KEYPOINT_NAMES
from hprnet_rt.spec import HPRNET_MOBILE, ModelSpec, PeakLayout
from tests.specs import ALL_SPECS

EVERY_NETWORK = pytest.mark.parametrize("spec", ALL_SPECS.values(), ids=list(ALL_SPECS))


def test_the_nine_heads_have_the_papers_widths_but_for_the_offset_of_each_joint():
    widths = {head.name: head.channels for head in HPRNET_MOBILE.heads}
    assert widths == {
        "hm": 1,
        "wh": 2,
        "hps": 52,
        "wh_face": 2,
        "face_lms": 136,
        "hand_lms": 84,
        "reg": 2,
        "hm_hp": 26,
        "hp_offset": 52,
    }


def test_every_keypoint_comes_from_exactly_one_joint_or_part():
    sources = [p for p in HPRNET_MOBILE.keypoint_of_joint if p >= 0]
    for part in HPRNET_MOBILE.parts:
        sources += list(range(part.keypoints.start, part.keypoints.stop))
    assert sorted(sources) == list(range(133))


def test_the_shipped_weights_know_everything_but_the_small_toes():
    unknown = [
        name for name, known in zip(KEYPOINT_NAMES, HPRNET_MOBILE.trained_keypoints, strict=True) if not known
    ]
    assert unknown == ["left_small_toe", "right_small_toe"]


@EVERY_NETWORK
@pytest.mark.parametrize("refined", [False, True])
def test_layout_fields_follow_each_other_without_a_gap(spec, refined):
    layout = PeakLayout.of(spec, refined=refined)
    position = 0
    for field in layout.fields:
        assert field.first == position
        position += field.width
    assert layout.width == position
    assert len(layout.columns) == len(layout.fields)


def test_the_shipped_model_has_607_columns():
    assert PeakLayout.of(HPRNET_MOBILE).width == 607


@EVERY_NETWORK
def test_every_head_that_is_read_sparsely_has_columns(spec):
    columns = PeakLayout.of(spec).columns
    width_of = {name: at.stop - at.start for name, at in columns.items()}
    for field, head in spec.person_fields.items():
        assert width_of[field] == spec.head(head).channels
    for part in spec.parts:
        for place in ("peak", "regressed"):
            assert width_of[f"{part.name}_{place}"] == 2 * part.num_keypoints
            if part.size_head:
                assert width_of[f"{part.name}_{place}_wh"] == spec.head(part.size_head).channels
    read = {"hm", "hps", "hm_hp", "hp_offset", *spec.person_fields.values()}
    for part in spec.parts:
        read.update(name for name in (part.head, part.size_head) if name)
    assert read == {head.name for head in spec.heads}


@EVERY_NETWORK
def test_a_spec_survives_its_json_form(spec):
    assert ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_an_unknown_field_or_a_missing_field_or_head_of_a_description_is_an_error():
    data = HPRNET_MOBILE.to_dict()
    with pytest.raises(ModelError, match="cannot be read"):
        ModelSpec.from_dict({**data, "colour": 1})
    without_size = [head for head in data["heads"] if head["name"] != "wh"]
    with pytest.raises(ModelError, match="wh"):
        ModelSpec.from_dict({**data, "heads": without_size})
    del data["joints"]
    with pytest.raises(ModelError, match="joints"):
        ModelSpec.from_dict(data)
