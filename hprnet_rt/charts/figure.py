"""Figures of matplotlib in one look, written whole.

matplotlib is loaded when a figure is made. The look does not depend on the user's own settings, and no window
is opened: figures are made without pyplot.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hprnet_rt.environment import library_cache
from hprnet_rt.errors import UsageError
from hprnet_rt.files import PartialFile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLORS", "FIGURE_SUFFIXES", "require_matplotlib", "write_figure", "write_notes"]

FIGURE_SUFFIXES: Final = (".png", ".svg")

COLORS: Final = (
    "#1f6fb4",
    "#d1495b",
    "#2a9d5c",
    "#8a5fbf",
    "#c77d0a",
    "#0f9aa8",
    "#b0479a",
    "#6b7f1d",
    "#7a4b2a",
    "#4b5563",
)
"""Colours that can be told apart, in the order in which they are given."""

_NOTES: Final[dict[str, Any]] = {"color": "#6b7280", "fontsize": 8}
_LETTERS_IN: Final = 16.5  # of notes, in an inch of the figure's width

_LOOK: Final[dict[str, Any]] = {
    "axes.edgecolor": "#222222",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 100,
    "font.size": 10,
    "grid.color": "#e2e2e2",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "savefig.dpi": 130,
    "svg.fonttype": "none",  # text stays text: it can be searched, and the file is small
    "svg.hashsalt": "hprnet-rt",  # the same figure gives the same file
}
_METADATA: Final = {".svg": {"Date": None, "Creator": "hprnet-rt"}, ".png": {"Software": "hprnet-rt"}}


def require_matplotlib() -> None:
    """Check that figures can be drawn.

    Raises:
        UsageError: matplotlib is not installed.
    """
    if "matplotlib" not in sys.modules and not os.environ.get("MPLCONFIGDIR"):
        folder = library_cache("matplotlib")  # its list of fonts, which it would keep in the home
        if folder is not None:
            os.environ["MPLCONFIGDIR"] = str(folder)
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"charts need matplotlib ({error}); install it: pip install 'hprnet-rt[plot]'"
        ) from error


def write_figure(paths: Sequence[Path], draw: Callable[[Figure], None], size_in: tuple[float, float]) -> None:
    """Draw a figure, and write it to each path; a file appears when it is complete.

    Args:
        paths: .png or .svg, in folders that exist; what is there is replaced.
        draw: draws on the empty figure.
        size_in: width and height in inches, 130 px each in a PNG.

    Raises:
        UsageError: matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    require_matplotlib()
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_LOOK)
        figure = Figure(figsize=size_in, layout="constrained")
        draw(figure)
        for path in paths:
            file = PartialFile(path)
            kind = path.suffix.lower()
            with file.writing() as partial:
                figure.savefig(partial, format=kind[1:], metadata=_METADATA[kind])
            file.commit()


def write_notes(figure: Figure, notes: Sequence[str]) -> None:
    """Write notes at the lower edge of a figure, in as many lines as they need."""
    letters = round(_LETTERS_IN * float(figure.get_figwidth()))
    lines = [line for note in notes for line in textwrap.wrap(note, letters)]
    if lines:
        figure.supxlabel("\n".join(lines), x=0.01, horizontalalignment="left", **_NOTES)
