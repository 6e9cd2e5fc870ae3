"""Evaluation of every part of COCO-WholeBody: files, metrics, comparisons and reports. No torch."""

from hprnet_rt.evaluation.certainty import Drawn, Reliability
from hprnet_rt.evaluation.coco import Annotations, Results, read_annotations, read_results
from hprnet_rt.evaluation.compare import Comparison, compare
from hprnet_rt.evaluation.counting import MeasureOptions
from hprnet_rt.evaluation.evaluate import RANKINGS, Evaluation, evaluate
from hprnet_rt.evaluation.measures import Measures, PartMeasures, measure
from hprnet_rt.evaluation.movement import Movement, movement
from hprnet_rt.evaluation.oks import oks
from hprnet_rt.evaluation.pairs import PAIR_BY, match_people
from hprnet_rt.evaluation.parts import BOX_METRICS, FACE_BOXES, KEYPOINT_METRICS, PART_TYPES, PartType
from hprnet_rt.evaluation.report import to_csv, to_json, to_markdown, to_text
from hprnet_rt.evaluation.results import write_results
from hprnet_rt.types.coco import to_results

__all__ = [
    "BOX_METRICS",
    "FACE_BOXES",
    "KEYPOINT_METRICS",
    "PAIR_BY",
    "PART_TYPES",
    "RANKINGS",
    "Annotations",
    "Comparison",
    "Drawn",
    "Evaluation",
    "MeasureOptions",
    "Measures",
    "Movement",
    "PartMeasures",
    "PartType",
    "Reliability",
    "Results",
    "compare",
    "evaluate",
    "match_people",
    "measure",
    "movement",
    "oks",
    "read_annotations",
    "read_results",
    "to_csv",
    "to_json",
    "to_markdown",
    "to_results",
    "to_text",
    "write_results",
]
