"""From the dense maps of a rival's network to people: the decode of each, and how its input is made.

Nothing here is imported unless a rival is named.
"""

from hprnet_rt.grouping.rivals.grouper import BodyAndCrops, Look, RivalGrouper, maps_of, peaks_of
from hprnet_rt.grouping.rivals.placement import Placement, place

__all__ = ["BodyAndCrops", "Look", "Placement", "RivalGrouper", "maps_of", "peaks_of", "place"]
