"""The files that `hprnet-rt eval` writes: reports, and pictures of the worst people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2

from hprnet_rt.errors import MediaError, OutputError
from hprnet_rt.evaluation import Annotations, Results, to_csv, to_json, to_markdown
from hprnet_rt.evaluation.report import EvaluationReport
from hprnet_rt.evaluation.worst import draw_case, worst_people
from hprnet_rt.files import PartialFile, reason
from hprnet_rt.video import ImageSource

__all__ = ["draw_worst", "make_folder", "write_report"]

_FORMATS: Final[dict[str, Callable[[EvaluationReport], str]]] = {
    ".md": to_markdown,
    ".csv": to_csv,
    ".json": to_json,
}


def make_folder(path: Path) -> None:
    """Create a folder, and those that it lies in.

    Raises:
        OutputError: the system refuses.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path}: {reason(error)}") from error


def write_report(folder: Path, stem: str, report: EvaluationReport, more_markdown: str = "") -> None:
    """Write a report in every format, and print a line that names the files.

    Args:
        folder: exists.
        stem: of the files' names.
        report: to be written.
        more_markdown: appended to the .md.

    Raises:
        OutputError: a file cannot be written.
    """
    for suffix, to_text in _FORMATS.items():
        file = PartialFile(folder / f"{stem}{suffix}")
        more = more_markdown if suffix == ".md" else ""
        with file.writing() as partial:
            partial.write_text(to_text(report) + more, encoding="utf-8")
        file.commit()
    print(f"wrote {', '.join(str(folder / f'{stem}{suffix}') for suffix in _FORMATS)}")


def draw_worst(
    folder: Path, images: Path, annotations: Annotations, results: Results, *, count: int, least_score: float
) -> None:
    """Draw the people who were found worst, with the truth beside what was found.

    Args:
        folder: for the pictures; it is created.
        images: folder of the annotated images.
        annotations: the truth.
        results: the detections.
        count: number of people.
        least_score: of a detection that is looked at.

    Raises:
        MediaError: an image cannot be read or drawn.
        OutputError: a picture cannot be written.
    """
    make_folder(folder)
    cases = worst_people(annotations, results, count, least_score=least_score)
    for number, case in enumerate(cases, start=1):
        (frame,) = ImageSource(images / case.file_name)
        picture = draw_case(frame.image, case, annotations, results)
        path = folder / f"{number:03d}-{Path(case.file_name).stem}.jpg"
        try:
            written = cv2.imwrite(str(path), picture)
        except cv2.error as error:
            raise MediaError(f"cannot draw {case.file_name}: {error.err}") from error
        if not written:
            raise OutputError(f"cannot write {path}: is there room?")
    print(f"wrote {len(cases)} pictures to {folder}: truth in white, what was found in colours")
