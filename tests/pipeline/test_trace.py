import csv
import errno
import json
from pathlib import Path

import pytest

from hprnet_rt.errors import OutputError, UsageError
from hprnet_rt.pipeline import Pipeline, Profiler, Stage, write_trace
from tests.pipeline.test_runner import Numbers

START_S = 1000.0  # of the clock, which begins anywhere
CAPTURE_S, ENGINE_S, DISPLAY_S, PERIOD_S, WAIT_S = 0.002, 0.010, 0.004, 0.015, 0.001


@pytest.fixture
def profiler():
    """Record three frames, 15 ms apart; each is shown 17 ms after its capture, so that neighbours overlap."""
    profiler = Profiler(spans=100)
    for sequence in range(3):
        captured_s = START_S + CAPTURE_S + sequence * PERIOD_S
        inferred_s = captured_s + WAIT_S + ENGINE_S
        seen_s = inferred_s + 0.002 + DISPLAY_S
        profiler.record("capture", 0.0, CAPTURE_S, sequence, captured_s)
        profiler.record("engine", WAIT_S, ENGINE_S, sequence, inferred_s)
        profiler.record("display", 0.002, DISPLAY_S, sequence, seen_s)
        profiler.shown(sequence, captured_s, seen_s)
    return profiler


def read(path):
    return json.loads(path.read_text())


def events(path, phase):
    return [event for event in read(path)["traceEvents"] if event["ph"] == phase]


def test_stages_have_lanes_with_their_names_in_the_pipelines_order(tmp_path, profiler):
    path = tmp_path / "trace.json"
    write_trace(path, profiler)
    names = {e["tid"]: e["args"]["name"] for e in events(path, "M") if e["name"] == "thread_name"}
    order = {e["tid"]: e["args"]["sort_index"] for e in events(path, "M") if e["name"] == "thread_sort_index"}
    assert [names[lane] for lane in sorted(names, key=order.get)] == ["capture", "engine", "display"]


def test_every_service_is_an_event_in_microseconds_from_the_first(tmp_path, profiler):
    path = tmp_path / "trace.json"
    write_trace(path, profiler)
    services = events(path, "X")
    assert len(services) == 9
    assert (services[0]["name"], services[0]["ts"], services[0]["dur"]) == ("capture", 0.0, 2000.0)
    last = next(e for e in services if e["name"] == "engine" and e["args"]["sequence"] == 2)
    assert last["ts"] == pytest.approx(2 * 15_000 + 2000 + 1000)
    assert last["dur"] == pytest.approx(10_000)
    assert last["args"] == {"sequence": 2, "wait_ms": 1.0}


def test_a_frames_way_begins_at_its_capture_and_ends_when_it_is_seen(tmp_path, profiler):
    path = tmp_path / "trace.json"
    write_trace(path, profiler)
    begins, ends = ({e["id"]: e for e in events(path, phase)} for phase in "be")
    assert sorted(begins) == sorted(ends) == [0, 1, 2]
    for sequence in range(3):
        assert begins[sequence]["name"] == ends[sequence]["name"] == "frame"
        assert begins[sequence]["ts"] == pytest.approx(2000 + 15_000 * sequence)
        assert ends[sequence]["ts"] - begins[sequence]["ts"] == pytest.approx(17_000)


def test_frames_in_flight_are_counted_at_each_change(tmp_path, profiler):
    path = tmp_path / "trace.json"
    write_trace(path, profiler)
    counts = [(e["ts"], e["args"]["frames"]) for e in events(path, "C")]
    assert [count for _, count in counts] == [1, 2, 1, 2, 1, 0]
    assert [time_us for time_us, _ in counts] == pytest.approx([2000, 17_000, 19_000, 32_000, 34_000, 49_000])


def test_a_frame_that_was_dropped_is_not_in_flight_for_ever(tmp_path, profiler):
    path = tmp_path / "trace.json"
    profiler.record("capture", 0.0, CAPTURE_S, 3, START_S + 0.047)
    write_trace(path, profiler)
    assert events(path, "C")[-1]["args"]["frames"] == 0


def test_the_stages_percentiles_go_with_the_trace(tmp_path, profiler):
    path = tmp_path / "trace.json"
    write_trace(path, profiler)
    stages = read(path)["otherData"]["stages"]
    assert list(stages) == ["capture", "engine", "display", "age"]
    assert stages["engine"]["frames"] == 3
    assert stages["engine"]["service_p95_ms"] == pytest.approx(10, rel=0.02)
    assert stages["engine"]["wait_p50_ms"] == pytest.approx(1, rel=0.02)
    assert stages["age"]["service_p99_ms"] == pytest.approx(17, rel=0.02)


def test_the_table_has_a_line_for_each_span(tmp_path, profiler):
    path = tmp_path / "trace.csv"
    write_trace(path, profiler)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["stage", "sequence", "wait_ms", "started_ms", "service_ms", "ended_ms"]
    assert len(rows) == 12
    engine = rows[1]
    assert (engine["stage"], engine["sequence"]) == ("engine", "0")
    times = [float(engine[name]) for name in ("wait_ms", "started_ms", "service_ms", "ended_ms")]
    assert times == pytest.approx([1, 3, 10, 13])


@pytest.mark.parametrize("name", ["trace.json", "trace.csv", "TRACE.JSON"])
def test_a_run_without_spans_gives_a_file_without_spans(tmp_path, name):
    write_trace(tmp_path / name, Profiler())
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).stat().st_size < 200


def test_a_real_run_can_be_traced(tmp_path):
    profiler = Profiler(spans=1000)
    with Pipeline(Numbers(50), [Stage("number", lambda frame: frame)], profiler=profiler) as pipeline:
        for packet in pipeline:
            profiler.shown(packet.sequence, packet.payload.captured_s)
    path = tmp_path / "trace.json"
    write_trace(path, profiler)
    assert len(events(path, "X")) == 100
    assert min(event["ts"] for event in read(path)["traceEvents"] if "ts" in event) == 0
    assert events(path, "C")[-1]["args"]["frames"] == 0


def test_another_suffix_is_refused_by_a_sentence_that_names_both(tmp_path, profiler):
    with pytest.raises(UsageError, match=r"trace\.txt .*\.json.*\.csv"):
        write_trace(tmp_path / "trace.txt", profiler)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_told_of(tmp_path, profiler):
    with pytest.raises(OutputError, match=r"cannot write .*No such file"):
        write_trace(tmp_path / "missing" / "trace.json", profiler)


def test_a_full_disk_is_told_of_and_leaves_the_file_before_and_no_part(tmp_path, profiler, monkeypatch):
    path = tmp_path / "trace.json"
    path.write_text("before")

    def full(self, *arguments, **settings):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OutputError, match="No space left on device"):
        write_trace(path, profiler)
    assert [each.name for each in tmp_path.iterdir()] == ["trace.json"]
    assert path.read_text() == "before"
