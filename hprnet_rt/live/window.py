"""The window of a live run. Nothing here imports Qt before it is clear that Qt can start."""

from __future__ import annotations

import threading

from hprnet_rt.live.display import open_display
from hprnet_rt.live.session import Session

__all__ = ["open_display", "run_window"]


def run_window(
    session: Session,
    *,
    title: str,
    details: str,
    full_screen: bool = False,
    cancelled: threading.Event | None = None,
) -> None:
    """Show a live run until its window is closed, its source ends, or it fails. Call it in the main thread.

    Afterwards the window is gone and the session is stopped, but not closed: `Session.close` finishes the
    files.

    Args:
        session: not yet started.
        title: of the window.
        details: one phrase for the status line: model, backend, precision.
        full_screen: begin with a full screen.
        cancelled: an event that closes the window, set by a signal handler for example.

    Raises:
        UsageError: there is no display, or it does not answer.
        BackendError: PySide6, pyqtgraph, or a system library that they need, is missing, or this PySide6 is
            not for this Python.
        HprnetError: the source, a stage or an output failed.
    """
    application = open_display()
    from PySide6.QtCore import QEvent

    from hprnet_rt.live.viewer import Viewer

    viewer = Viewer(session, title=title, details=details, cancelled=cancelled or threading.Event())
    try:
        viewer.run(full_screen=full_screen)
    finally:
        session.stop()
        application.processEvents()  # the window disappears
        viewer.deleteLater()
        application.sendPostedEvents(viewer, QEvent.Type.DeferredDelete.value)
    if viewer.error is not None:
        raise viewer.error
