"""The README's tables are those of the results."""

import importlib.util
from pathlib import Path

import pytest

from hprnet_rt.bench.report import write_report
from tests.bench.figures import figures

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def readme():
    spec = importlib.util.spec_from_file_location("readme", ROOT / "benchmarks" / "readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_is_what_the_results_say(readme):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.rewritten(text) == text, "run python benchmarks/readme.py"


def test_a_new_report_shows_up(readme, tmp_path):
    assert readme.reports(tmp_path) == ""
    report = figures(0)
    write_report(report, tmp_path)
    (tmp_path / "other.json").write_text("{}")
    text = readme.reports(tmp_path)
    assert f"| clip.mp4: engine | {report.find('clip.mp4', 'engine').p50_ms:.3f} ms |" in text
    assert "a processor, 2 cores" in text


def test_a_readme_without_markers_is_refused(readme):
    with pytest.raises(SystemExit, match="lacks"):
        readme.rewritten("no markers")
