"""Peaks to people: joints by the paper's rule, faces and hands one-to-one. Arrays in, arrays out."""

from hprnet_rt.grouping.grouper import Grouper, GroupingOptions

__all__ = ["Grouper", "GroupingOptions"]
