"""The tables of docs/benchmarks.md are those of the results."""

import pytest

from hprnet_rt.bench.report import write_report
from tests.bench.figures import figures
from tests.scripts import script


@pytest.fixture(scope="module")
def tables():
    return script("benchmarks/tables.py")


def test_the_page_is_what_the_results_say(tables):
    text = tables.PAGE.read_text(encoding="utf-8")
    assert tables.rewritten(text) == text, "run python benchmarks/tables.py"


def test_a_new_report_shows_up(tables, tmp_path):
    assert tables.reports(tmp_path) == ""
    report = figures(0)
    write_report(report, tmp_path)
    (tmp_path / "other.json").write_text("{}")
    text = tables.reports(tmp_path)
    assert f"| clip.mp4: engine | {report.find('clip.mp4', 'engine').p50_ms:.3f} ms |" in text
    assert "a processor, 2 cores" in text


def test_a_page_without_markers_is_refused(tables):
    with pytest.raises(SystemExit, match="lacks"):
        tables.rewritten("no markers")
