"""Each option of annotate says which outputs it affects, and its settings are those of what it says."""

import dataclasses
from dataclasses import dataclass
from fractions import Fraction

import pytest

from hprnet_rt.errors import UsageError
from hprnet_rt.formats.jsonl import header_line
from hprnet_rt.inference.regions import parse_region
from hprnet_rt.jobs.options import AFFECTS, AnnotateOptions, keypoint_settings, option, video_settings


@dataclass(frozen=True, kw_only=True)
class WithAnother(AnnotateOptions):
    """As after a new option was added."""

    background: str = option("black", "video", at_default=False)


OTHER = {
    "video": False,
    "keypoints": False,
    "overwrite": True,
    "formats": ("csv",),
    "skip_existing": True,
    "rate": Fraction(50),
    "limit": 5,
    "start_s": 1.0,
    "end_s": 2.0,
    "stride": 2,
    "track": False,
    "smooth": "one-euro",
    "regions": (parse_region("0,0,10,10"),),
    "deinterlace": "off",
    "crf": 30,
    "encoder": "libx265",
    "strip_metadata": True,
    "point_threshold": 0.5,
    "max_people": 2,
    "hide": ("face",),
    "blur": "faces",
    "only": "skeleton",
    "drawn_by": "a function",
    "background": "white",
}
"""A value of each option that is not its default."""

FIELDS = dataclasses.fields(WithAnother)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_every_option_says_what_it_affects_and_changes_the_settings_of_that_alone(field):
    affects = field.metadata["affects"]
    assert affects in AFFECTS
    usual, changed = WithAnother(), WithAnother(**{field.name: OTHER[field.name]})
    assert (keypoint_settings(usual) != keypoint_settings(changed)) == (affects == "keypoints")
    assert (video_settings(usual) != video_settings(changed)) == (affects == "video")


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_settings_can_stand_in_a_header(field):
    changed = WithAnother(**{field.name: OTHER[field.name]})
    assert header_line({**keypoint_settings(changed), **video_settings(changed)})


def test_settings_at_their_defaults_are_those_of_earlier_versions():
    assert keypoint_settings(WithAnother()) == {
        "limit": None,
        "start_s": 0.0,
        "end_s": None,
        "stride": 1,
        "track": True,
        "smooth": "off",
        "regions": [],
    }
    assert list(video_settings(WithAnother())) == ["crf", "encoder"]


def test_a_threshold_for_points_holds_for_hands_too():
    style = AnnotateOptions(point_threshold=0.5).style(refined=True)
    assert (style.point_threshold, style.hand_threshold) == (0.5, 0.5)
    assert AnnotateOptions().style(refined=True) != AnnotateOptions().style(refined=False)


@pytest.mark.parametrize("changed", [{"hide": ("face",)}, {"blur": "faces"}, {"only": "skeleton"}])
def test_what_is_done_to_a_picture_that_is_not_drawn_is_refused(changed):
    assert AnnotateOptions(**changed)
    with pytest.raises(UsageError, match="without a picture nothing is hidden"):
        AnnotateOptions(video=False, **changed)


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_for_points_that_is_no_score_is_refused(threshold):
    with pytest.raises(UsageError, match="a score from 0 to 1"):
        AnnotateOptions(point_threshold=threshold)
