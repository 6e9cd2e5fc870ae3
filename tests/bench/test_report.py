"""Reports as files."""

import json

import numpy as np
import pytest

from hprnet_rt.bench.against import compare_reports
from hprnet_rt.bench.report import BenchReport, Series, make_folder, read_report, table, write_report
from hprnet_rt.errors import DataError, OutputError
from tests.bench.figures import figures


def test_a_written_report_is_read_back(tmp_path):
    report = figures(0, sizes=(384, 512))
    paths = write_report(report, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["stages.json", "stages.csv"]
    again = read_report(paths[0])
    assert compare_reports(again, report).named == ()
    assert again.series[0].p50_ms == pytest.approx(report.series[0].p50_ms, abs=1e-4)
    assert paths[1].read_text().splitlines()[0] == "case,stage,p50_ms,p95_ms,p99_ms,rounds"
    assert "clip.mp4: engine" in table(report.series)


def test_a_file_of_many_rounds_stays_small_and_keeps_its_median(tmp_path):
    rounds = tuple(np.random.default_rng(0).lognormal(0, 0.1, 20000))
    path = write_report(BenchReport("people", {}, (Series("a", "b", rounds),)), tmp_path)[0]
    assert len(json.loads(path.read_text())["series"][0]["rounds_ms"]) == 400
    assert read_report(path).series[0].p50_ms == pytest.approx(np.median(rounds), rel=0.01)


@pytest.mark.parametrize("text", ["", "[]", '{"format": "hprnet-rt-bench/1", "kind": "people"}', '{"a": 1}'])
def test_another_file_is_no_report(tmp_path, text):
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"old\.json"):
        read_report(path)


@pytest.mark.parametrize(
    ("entry", "value", "words"),
    [
        ("kind", 3, "'kind' holds 3, not text"),
        ("machine", "x", "'machine' holds 'x', not an object"),
        ("settings", None, "'settings' holds None, not an object"),
        ("summary", [], r"'summary' holds \[\], not an object"),
        ("series", {}, "'series' holds {}, not a list"),
        ("series", [7], "'case' holds None, not text"),
        ("rounds_ms", [], "no rounds"),
        ("rounds_ms", ["a", "b"], "took 'a', which is no time"),
        ("rounds_ms", [[1, 2], [3]], r"took \[1, 2\], which is no time"),
        ("rounds_ms", [1.0, float("nan")], "took nan, which is no time"),
        ("rounds_ms", [True], "took True, which is no time"),
        ("rounds_ms", [10**400], "took 1000"),
        ("rounds_ms", [-1.0], "took -1.0"),
        ("whole", 1, "'whole' holds 1, not true or false"),
    ],
)
def test_a_damaged_report_is_told_with_its_damage(tmp_path, entry, value, words):
    path = write_report(figures(0), tmp_path)[0]
    data = json.loads(path.read_text())
    (data if entry in data else data["series"][2])[entry] = value
    path.write_text(json.dumps(data))
    with pytest.raises(DataError, match=rf"stages\.json is damaged: .*{words}.*; measure again"):
        read_report(path)


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another --out"):
        make_folder(tmp_path / "file")
