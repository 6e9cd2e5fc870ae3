"""The status line below the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from hprnet_rt.live import theme
from hprnet_rt.live.readings import Readings
from hprnet_rt.words import counted

__all__ = ["Note", "StatusLine", "figures", "notes"]

_SIDE_PX: Final = 16.0
_GAP_PX: Final = 26.0
_DOT_PX: Final = 4.5
_PAD_PX: Final = 9


@dataclass(frozen=True)
class Note:
    """A short text at the right end of the status line.

    Attributes:
        text: to be shown.
        color: of the text.
        dot: color of a dot before the text, None for no dot.
    """

    text: str
    color: str = theme.TEXT
    dot: str | None = None


def figures(readings: Readings, threshold: float) -> list[tuple[str, str]]:
    """Return the readings as texts, each with the widest text that can take its place."""
    return [
        (f"{readings.fps:.1f} FPS", "000.0 FPS"),
        (f"{readings.age_ms:.0f} ms old" if readings.fps > 0 else "", "0000 ms old"),
        (counted(readings.people, "person"), "00 people"),
        (f"{readings.dropped} dropped", f"{max(readings.dropped, 1000)} dropped"),
        (f"threshold {threshold:.2f}", "threshold 0.00"),
    ]


def notes(readings: Readings, message: Note | None) -> list[Note]:
    """Return notes on what is unusual, and the message; lasting notes come last."""
    result = []
    if readings.trouble:
        result.append(Note(readings.trouble, theme.AMBER))
    if message is not None:
        result.append(message)
    if readings.paused:
        result.append(Note("paused", theme.AMBER))
    if readings.recording is not None:
        result.append(Note(f"recording {readings.recording.name}", dot=theme.RED))
    return result


class StatusLine(QWidget):
    """Shows details at the left, figures after them, notes at the right; the details shrink first.

    Args:
        details: a text that stays the same.
    """

    def __init__(self, details: str) -> None:
        super().__init__()
        self._details = details
        self._figures: tuple[tuple[str, str], ...] = ()
        self._notes: tuple[Note, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(self.fontMetrics().height() + 2 * _PAD_PX)

    def put(self, figures: Sequence[tuple[str, str]], notes: Sequence[Note]) -> None:
        """Show figures, as (text, the widest text that may stand there), and notes."""
        if (tuple(figures), tuple(notes)) != (self._figures, self._notes):
            self._figures, self._notes = tuple(figures), tuple(notes)
            self.update()

    def text(self) -> str:
        """Return the whole text, with the parts that there is no room for."""
        return "   ".join(
            [self._details, *(text for text, _ in self._figures), *(n.text for n in self._notes)]
        )

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 Qt's name
        """Paint the notes, the figures, and as much of the details as fits."""
        metrics = QFontMetricsF(self.font())
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.fillRect(self.rect(), QColor(theme.CARD))
            painter.setPen(QColor(theme.EDGE))
            painter.drawLine(0, 0, self.width(), 0)
            right = self.width() - _SIDE_PX
            for note in reversed(self._notes):
                right -= self._paint_note(painter, metrics, note, right) + _GAP_PX
            widths = [metrics.horizontalAdvance(widest) + _GAP_PX for _, widest in self._figures]
            room = right - _SIDE_PX - sum(widths)
            details = metrics.elidedText(self._details, Qt.TextElideMode.ElideRight, max(0.0, room))
            self._paint_text(painter, details, theme.MUTED, _SIDE_PX, max(0.0, room))
            left = _SIDE_PX + min(metrics.horizontalAdvance(details), max(0.0, room)) + _GAP_PX
            for (text, _), width in zip(self._figures, widths, strict=True):
                self._paint_text(painter, text, theme.TEXT, left, min(width, right - left))
                left += width

    def _paint_text(self, painter: QPainter, text: str, color: str, left: float, width: float) -> None:
        painter.setPen(QColor(color))
        painter.drawText(QRectF(left, 0, max(0.0, width), self.height()), Qt.AlignmentFlag.AlignVCenter, text)

    def _paint_note(self, painter: QPainter, metrics: QFontMetricsF, note: Note, right: float) -> float:
        """Paint a note that ends at `right`, shortened if it does not fit, and return its width."""
        dot = 0.0 if note.dot is None else 2 * _DOT_PX + 7
        room = max(0.0, right - _SIDE_PX - dot)
        text = metrics.elidedText(note.text, Qt.TextElideMode.ElideMiddle, room)
        width = metrics.horizontalAdvance(text) + dot
        if note.dot is not None:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(note.dot))
            painter.drawEllipse(QPointF(right - width + _DOT_PX, self.height() / 2), _DOT_PX, _DOT_PX)
        self._paint_text(painter, text, note.color, right - width + dot, width - dot + 1)
        return width
