"""The picture in the window, and the help on top of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QWidget

from hprnet_rt.live import theme

__all__ = ["Help", "Hint", "Picture", "lay_over"]

_SMALLEST: Final = QSize(320, 180)
_MARGIN_PX: Final = 16


class Picture(QWidget):
    """Paints the last picture as large as it fits, in its own proportions.

    Args:
        pixel_aspect: width of a pixel over its height.

    Attributes:
        pixels: the picture that was put last, None before the first.
        painted: signal, emitted once for each picture, when it has been painted first.
    """

    painted = Signal()

    def __init__(self, pixel_aspect: float = 1.0) -> None:
        super().__init__()
        self._pixel_aspect = pixel_aspect
        self.pixels: npt.NDArray[np.uint8] | None = None
        self._image = QImage()
        self._is_new = False
        self.setMinimumSize(_SMALLEST)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    def put(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Show (H, W, 3) uint8 BGR. It is not copied: do not change it while it is shown."""
        self.pixels = np.ascontiguousarray(pixels)  # the image shares this memory
        height, width = self.pixels.shape[:2]
        self._image = QImage(self.pixels.data, width, height, 3 * width, QImage.Format.Format_BGR888)
        self._is_new = True
        self.update()

    def target(self) -> QRect:
        """Return the part of the widget that the picture covers; all of it before the first picture."""
        if self._image.isNull():
            return self.rect()
        width, height = self._image.width() * self._pixel_aspect, self._image.height()
        scale = min(self.width() / width, self.height() / height)
        target = QRect(0, 0, max(1, round(width * scale)), max(1, round(height * scale)))
        target.moveCenter(self.rect().center())
        return target

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 Qt's name
        """Paint the picture, and the background around it."""
        target = self.target()
        with QPainter(self) as painter:
            if target != self.rect() or self._image.isNull():
                painter.fillRect(self.rect(), QColor(theme.BACKGROUND))
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(target, self._image)
        if self._is_new:
            self._is_new = False
            self.painted.emit()


class Hint(QLabel):
    """A few words in a corner of the picture."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setStyleSheet(
            f"color: {theme.TEXT}; background: rgba(24, 28, 35, 215); border: 1px solid {theme.EDGE};"
            " border-radius: 12px; padding: 5px 12px;"
        )


class Help(QFrame):
    """A panel that lists the keys.

    Args:
        rows: (names of keys with the same effect, that effect).
    """

    def __init__(self, rows: Sequence[tuple[Sequence[str], str]]) -> None:
        super().__init__()
        self.setObjectName("help")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setStyleSheet(
            f"#help {{ background: rgba(20, 24, 31, 235); border: 1px solid {theme.EDGE};"
            " border-radius: 12px; }"
            f"QLabel {{ color: {theme.TEXT}; }}"
            f"#title {{ font-weight: bold; }}"
            f"#key {{ background: {theme.EDGE}; border: 1px solid #3b4452; border-bottom-width: 2px;"
            " border-radius: 5px; padding: 2px 8px; font-weight: bold; }"
        )
        grid = QGridLayout(self)
        grid.setContentsMargins(28, 22, 32, 24)
        grid.setHorizontalSpacing(22)
        grid.setVerticalSpacing(8)
        title = QLabel("Keys")
        title.setObjectName("title")
        grid.addWidget(title, 0, 0, 1, 2)
        for row, (names, does) in enumerate(rows, 1):
            caps = QHBoxLayout()
            caps.setSpacing(6)
            for name in names:
                cap = QLabel(name)
                cap.setObjectName("key")
                cap.setAlignment(Qt.AlignmentFlag.AlignCenter)
                cap.setMinimumWidth(30)
                caps.addWidget(cap)
            caps.addStretch()
            grid.addLayout(caps, row, 0)
            grid.addWidget(QLabel(does), row, 1)


def lay_over(picture: Picture, panel: Help, hint: Hint) -> None:
    """Place the help in the middle of the picture, and the hint in its upper left corner."""
    grid = QGridLayout(picture)
    grid.setContentsMargins(_MARGIN_PX, _MARGIN_PX, _MARGIN_PX, _MARGIN_PX)
    grid.addWidget(panel, 0, 0, Qt.AlignmentFlag.AlignCenter)
    grid.addWidget(hint, 0, 0, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
