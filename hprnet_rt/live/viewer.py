"""The widget of a live run: picture, plots, status line and keys."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Concatenate, Final, ParamSpec

from PySide6.QtCore import QEventLoop, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QKeyEvent
from PySide6.QtWidgets import QGridLayout, QWidget

from hprnet_rt.errors import OutputError, UsageError
from hprnet_rt.live import theme
from hprnet_rt.live.picture import Help, Hint, Picture, lay_over
from hprnet_rt.live.plots import WIDTH_PX, Plots
from hprnet_rt.live.readings import Readings
from hprnet_rt.live.session import Session
from hprnet_rt.live.status import Note, StatusLine, figures, notes
from hprnet_rt.pipeline import ChannelClosed

__all__ = ["KEYS", "Key", "Viewer"]

P = ParamSpec("P")

_TICK_S: Final = 0.1  # Python handles signals between ticks, and Qt gives it no other chance
_READINGS_EVERY: Final = 2  # ticks
_UNSEEN_S: Final = 0.25  # a picture that Qt has not painted within this time is not visible
_HINT_S: Final = 5.0
_MESSAGE_S: Final = 5.0
_THRESHOLD_STEP: Final = 0.05
_LEAST_PX: Final = 960  # width to which a small picture is enlarged
_OF_SCREEN: Final = 0.9  # most of the screen that the window covers at first


def _guarded(method: Callable[Concatenate[Viewer, P], None]) -> Callable[Concatenate[Viewer, P], None]:
    """Make an exception of a method end the run and be raised there; Qt would print it and go on."""

    @functools.wraps(method)
    def run(viewer: Viewer, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(viewer, *args, **kwargs)
        except BaseException as error:
            viewer.error = viewer.error or error
            viewer.close()

    return run


class Viewer(QWidget):
    """Shows a session, and controls it by keys.

    A frame is taken when the one before has been painted, so that ages count until a frame is on the screen.
    While nothing can be painted, because the window is hidden or minimised, frames are taken all the same.

    Args:
        session: not yet started.
        title: of the window.
        details: a phrase for the status line.
        cancelled: when set, the window closes.

    Attributes:
        error: the exception that ended the run, None when it ended well.
    """

    _ready = Signal()  # also from other threads

    def __init__(self, session: Session, *, title: str, details: str, cancelled: threading.Event) -> None:
        super().__init__()
        self.error: BaseException | None = None
        self.session = session
        self._cancelled = cancelled
        self._ended = False
        self._unpainted_since_s: float | None = None
        self._ticks = 0
        self._message, self._message_until_s = Note(""), 0.0
        self._recorded = session.readings().recorded
        info = session.source.info
        self.picture = Picture(float(info.pixel_aspect or 1))
        self.plots = Plots(session.stages, 1 / (_TICK_S * _READINGS_EVERY))
        self.status = StatusLine(details)
        self.help = Help([(key.names, key.does) for key in KEYS])
        self.hint = Hint("h: help")
        self.help.hide()
        lay_over(self.picture, self.help, self.hint)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(0)
        grid.setColumnStretch(0, 1)
        grid.setRowStretch(0, 1)
        grid.addWidget(self.picture, 0, 0)
        grid.addWidget(self.plots, 0, 1)
        grid.addWidget(self.status, 1, 0, 1, 2)
        self.setWindowTitle(title)
        self.setStyleSheet(f"Viewer {{ background: {theme.BACKGROUND}; }}")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.resize(self._initial_size(info.width * float(info.pixel_aspect or 1), info.height))
        self._ready.connect(self._take, Qt.ConnectionType.QueuedConnection)
        # queued: by then the picture has also left for the screen
        self.picture.painted.connect(self._painted, Qt.ConnectionType.QueuedConnection)
        self._timer = QTimer(self)
        self._timer.setInterval(round(1000 * _TICK_S))
        self._timer.timeout.connect(self._tick)
        self._loop = QEventLoop(self)

    def _initial_size(self, width: float, height: float) -> QSize:
        """Return a size with room for the whole picture, in its own size if the screen allows."""
        screen, below = self.screen().availableGeometry(), self.status.height()
        scale = max(1.0, _LEAST_PX / width)
        scale = min(scale, (_OF_SCREEN * screen.width() - WIDTH_PX) / width)
        scale = min(scale, (_OF_SCREEN * screen.height() - below) / height)
        return QSize(round(scale * width) + WIDTH_PX, round(scale * height) + below)

    def run(self, *, full_screen: bool = False) -> None:
        """Start the session, and return when the window is closed; `error` is set if the run failed."""
        started_s = time.perf_counter()
        self._hint_until_s = started_s + _HINT_S
        self._write_status(self.session.readings(), started_s)
        if full_screen:
            self.showFullScreen()
        else:
            self.show()
        self._timer.start()
        self.session.start(self._ready.emit)
        if not self._ended:
            self._loop.exec()
        self._timer.stop()

    @_guarded
    def _take(self) -> None:
        """Show the next picture, if there is one and the one before has been painted."""
        if self._ended or self._unpainted_since_s is not None:
            return
        try:
            item = self.session.take()
        except ChannelClosed:
            self.close()
            return
        if item is None:
            return
        self.picture.put(item.picture)
        if self._can_paint():
            self._unpainted_since_s = time.perf_counter()
        else:
            self._pass()

    def _can_paint(self) -> bool:
        handle = self.windowHandle()
        return not self.isMinimized() and handle is not None and handle.isExposed()

    @_guarded
    def _painted(self) -> None:
        if self._unpainted_since_s is not None and not self._ended:
            self._pass()

    def _pass(self) -> None:
        """Go on to the next picture: this one is on the screen, or cannot get there."""
        self._unpainted_since_s = None
        self.session.shown()
        self._ready.emit()

    @_guarded
    def _tick(self) -> None:
        """Do what depends on time: the end, readings, the hint, pictures that are not painted."""
        now_s = time.perf_counter()
        if self._cancelled.is_set():
            self.close()
            return
        if self._unpainted_since_s is not None and now_s - self._unpainted_since_s > _UNSEEN_S:
            self._pass()
        self._take()  # also ends the run when its time is over
        if self.hint.isVisible() and now_s > self._hint_until_s:
            self.hint.hide()
        self._ticks += 1
        if self._ticks % _READINGS_EVERY == 0 and not self._ended:
            readings = self.session.readings()
            self.plots.add(now_s, readings)
            if readings.recorded not in (None, self._recorded):
                self._recorded = readings.recorded
                self._say(f"recorded {readings.recorded.name}")
            else:
                self._write_status(readings, now_s)

    def _write_status(self, readings: Readings, now_s: float) -> None:
        message = self._message if now_s < self._message_until_s else None
        self.status.put(figures(readings, self.session.threshold), notes(readings, message))

    def _say(self, text: str, color: str = theme.ACCENT) -> None:
        """Show a message in the status line for some seconds."""
        now_s = time.perf_counter()
        self._message, self._message_until_s = Note(text, color), now_s + _MESSAGE_S
        self._write_status(self.session.readings(), now_s)

    @_guarded
    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 Qt's name
        """Do the action of a key in `KEYS`; other keys do nothing."""
        key = _BY_NAME.get(_SPECIAL.get(event.key(), event.text().lower()))
        if key is not None and (key.repeats or not event.isAutoRepeat()):
            key.action(self)
            if not self._ended:
                self._write_status(self.session.readings(), time.perf_counter())

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 Qt's name
        """End the run, however the window was closed."""
        self._ended = True
        self._loop.quit()
        event.accept()

    def end(self) -> None:
        """Close the window."""
        self.close()

    def pause(self) -> None:
        """Pause the run, or resume it."""
        self.session.pause(not self.session.paused)

    def save(self) -> None:
        """Write the picture to a file."""
        try:
            self._say(f"saved {self.session.save().name}")
        except (OutputError, UsageError) as error:
            self._say(str(error), theme.RED)

    def record(self) -> None:
        """Begin a recording, or end it; `_tick` says when the file is complete."""
        try:
            self.session.record()
        except (OutputError, UsageError) as error:
            self._say(str(error), theme.RED)

    def toggle_full_screen(self) -> None:
        """Cover the screen, or go back into a window."""
        if self.isFullScreen():
            self.showNormal()
        else:
            self.showFullScreen()

    def toggle_part(self, part: str) -> None:
        """Show or hide "body", "face" or "hands"."""
        overlay = self.session.overlay
        drawn = not getattr(overlay.style, part)
        overlay.style = replace(overlay.style, **{part: drawn})
        self._say(f"{part} {'shown' if drawn else 'hidden'}")

    def mirror(self) -> None:
        """Swap left and right in the picture that is shown."""
        self.session.mirror = not self.session.mirror

    def toggle_help(self) -> None:
        """Show the keys, or hide them."""
        self.hint.hide()
        self.help.setVisible(not self.help.isVisible())

    def toggle_plots(self) -> None:
        """Show the plots, or hide them, which leaves their room to the picture."""
        self.plots.setVisible(not self.plots.isVisible())

    def nudge(self, by: float) -> None:
        """Change the least score of a person."""
        self.session.nudge_threshold(by)


@dataclass(frozen=True)
class Key:
    """A key, or several with one effect.

    Attributes:
        names: of the keys: the character that a key types, or a name in `_SPECIAL`.
        does: the effect, a phrase for the help.
        action: called when a key is pressed.
        repeats: a key that is held down repeats the action.
    """

    names: tuple[str, ...]
    does: str
    action: Callable[[Viewer], None]
    repeats: bool = False


KEYS: Final = (
    Key(("Space",), "pause, go on", Viewer.pause),
    Key(("s",), "save the picture", Viewer.save),
    Key(("r",), "record: begin, end", Viewer.record),
    Key(("-",), "lower threshold: more people", lambda viewer: viewer.nudge(-_THRESHOLD_STEP), True),
    Key(("=", "+"), "higher threshold: fewer people", lambda viewer: viewer.nudge(_THRESHOLD_STEP), True),
    Key(("b",), "body on, off", lambda viewer: viewer.toggle_part("body")),
    Key(("z",), "face on, off", lambda viewer: viewer.toggle_part("face")),
    Key(("x",), "hands on, off", lambda viewer: viewer.toggle_part("hands")),
    Key(("m",), "mirror", Viewer.mirror),
    Key(("p",), "plots on, off", Viewer.toggle_plots),
    Key(("f",), "full screen on, off", Viewer.toggle_full_screen),
    Key(("h", "?"), "this help", Viewer.toggle_help),
    Key(("Esc", "q"), "quit", Viewer.end),
)
"""All keys of the window, in the order of the help."""

_BY_NAME: Final = {name: key for key in KEYS for name in key.names}
_SPECIAL: Final = {int(Qt.Key.Key_Space): "Space", int(Qt.Key.Key_Escape): "Esc"}
