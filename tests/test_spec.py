import pytest

from hprnet_rt.errors import ModelError
from hprnet_rt.skeleton import KEYPOINT_NAMES
from hprnet_rt.spec import HPRNET_MOBILE, ModelSpec, PeakLayout


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


def test_layout_fields_follow_each_other_without_a_gap():
    layout = PeakLayout.of(HPRNET_MOBILE)
    position = 0
    for _, first, width in layout.fields:
        assert first == position
        position += width
    assert layout.width == position == 607


def test_a_spec_survives_its_json_form():
    assert ModelSpec.from_dict(HPRNET_MOBILE.to_dict()) == HPRNET_MOBILE


def test_an_unknown_or_missing_field_of_a_description_is_an_error():
    data = HPRNET_MOBILE.to_dict()
    with pytest.raises(ModelError, match="cannot be read"):
        ModelSpec.from_dict({**data, "colour": 1})
    del data["joints"]
    with pytest.raises(ModelError, match="joints"):
        ModelSpec.from_dict(data)
