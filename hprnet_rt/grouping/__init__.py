"""Grouping of peaks into people: joints by the paper's rule, faces and hands one-to-one."""

from hprnet_rt.grouping.dense import decode_dense, pack_peaks
from hprnet_rt.grouping.flip import average_flipped
from hprnet_rt.grouping.grouper import MATCHINGS, Grouper, GroupingOptions, GroupsPeaks

__all__ = [
    "MATCHINGS",
    "Grouper",
    "GroupingOptions",
    "GroupsPeaks",
    "average_flipped",
    "decode_dense",
    "pack_peaks",
]
