"""`hprnet-rt bench`, with as few rounds as possible."""

import json
import sys

import pytest

from hprnet_rt.bench import people, subject
from hprnet_rt.bench.measure import Limits
from hprnet_rt.bench.people import ALL, PeopleOptions, crossover, measure_people
from hprnet_rt.bench.people_chart import people_chart
from hprnet_rt.bench.report import BenchReport, write_report
from hprnet_rt.cli import main
from hprnet_rt.errors import BackendError
from tests.sentences import is_one_sentence

SHORT = Limits(seconds=0.01, least_rounds=3, warm_up=0)
MODEL_OPTIONS = subject.ModelOptions(threads=1, input_px=128)


@pytest.fixture(scope="module")
def report():
    """Measure two scenes, and a peer that takes 10 ms plus 5 ms for each person."""
    options = PeopleOptions((1, 35), planted=40, image_wh=(320, 180), limits=SHORT)

    class TopDown:
        def __init__(self, backend):
            self.description = f"as {backend.name} {backend.precision}, random weights"
            self.note = "imaginary"

        def __call__(self, _image, count):
            return {"detector": 0.01, "pose": 0.005 * count, "end to end": 0.01 + 0.005 * count}

    with subject.open_subject("hprnet-mobile") as network:
        return options, measure_people(network, MODEL_OPTIONS, options, peers={"ZoomNet": TopDown})


def test_people_has_every_stage_and_says_who_was_found(report):
    _, found = report
    stages = {each.stage for each in found.series if each.case == "35 people"}
    after = {"grouping", "refinement", "tracking", "drawing", "drawing on an image"}
    assert {"preprocess", "network and decode", ALL} | after < stages
    assert found.summary["everyone"] == {"1": 1, "35": 35, "40": 40}
    assert found.summary["placed"] == [1, 35]
    assert len(found.summary["found"]) == 2
    assert found.summary["k"] == 32
    planted = {each.stage for each in found.series if each.case == "40 people"}
    assert planted == {f"everyone: {stage}" for stage in after}


def test_people_says_what_follows_the_network_for_every_number_of_planted_people(report):
    _, found = report
    after, stages = found.summary["after_network"], ("grouping", "refinement", "tracking", "drawing")
    assert list(after) == ["1", "35", "40"]
    assert after["1"]["ratio"] == 1.0
    one, forty = (
        {stage: found.find(case, f"everyone: {stage}").p50_ms for stage in stages}
        for case in ("1 person", "40 people")
    )
    whole = found.find("1 person", ALL).p50_ms
    assert after["40"]["refinement_ms"] == pytest.approx(forty["refinement"], abs=1e-3)
    more = sum(forty.values()) - sum(one.values())
    assert after["40"]["refined_ratio"] == pytest.approx(1 + more / whole, abs=1e-3)
    plain, plain_one = (sum(each.values()) - each["refinement"] for each in (forty, one))
    assert after["40"]["ms"] == pytest.approx(plain, abs=1e-3)
    assert after["40"]["ratio"] == pytest.approx(
        1 + (plain - plain_one) / (whole - one["refinement"]), abs=1e-3
    )


def test_a_peer_that_cannot_run_is_a_sentence_before_anything_is_measured(monkeypatch):
    class Peer:
        def __init__(self, _backend):
            self.description = self.note = ""

        def __call__(self, _image, _count):
            raise RuntimeError("expected scalar type Half but found Float\nException raised from data_ptr")

    monkeypatch.setattr("hprnet_rt.bench.people.take_turns", lambda *_, **__: pytest.fail("measured"))
    options = PeopleOptions((0, 1), planted=None, image_wh=(64, 64), limits=SHORT)
    sentence = (
        r"ZoomNet cannot run beside openvino in .*: expected scalar type Half but found Float; leave it"
    )
    with (
        subject.open_subject("hprnet-mobile") as network,
        pytest.raises(BackendError, match=sentence) as refusal,
    ):
        measure_people(network, MODEL_OPTIONS, options, peers={"ZoomNet": Peer})
    assert "\n" not in str(refusal.value)


def test_a_library_that_fails_is_a_sentence_of_the_command(monkeypatch, capsys):
    def fail(*_, **__):
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might")

    monkeypatch.setattr("hprnet_rt.commands.bench.measure_people", fail)
    assert main(["bench", "people", "-q"]) == 1
    assert is_one_sentence(capsys.readouterr().err, "illegal memory access was encountered; choose another")


def test_the_top_down_line_and_the_crossover(report):
    options, found = report
    assert found.summary["peers"]["ZoomNet"]["fixed_ms"] == pytest.approx(10)
    assert found.summary["peers"]["ZoomNet"]["ms_per_person"] == pytest.approx(5)
    assert crossover(found, options, 0.0, 1e-6) is None
    assert crossover(found, options, 1e6, 1.0) == 0


def test_the_chart_has_the_paper_s_numbers(report, tmp_path):
    _, found = report
    chart = people_chart(found)
    curves = {curve.name: curve for curve in chart.curves}
    assert curves["paper, 1080 Ti: HPRNet, DLA-34"].published
    assert any("as openvino" in note and "random weights" in note for note in chart.notes)
    assert json.loads(write_report(found, tmp_path)[0].read_text())["kind"] == "people"


def test_a_peer_s_curve_is_what_was_measured_and_dashed_where_it_was_not(report):
    _, found = report
    peer = next(curve for curve in people_chart(found).curves if curve.name == "ZoomNet")
    assert [x for x, _ in peer.points] == [1, 2, 4]
    assert [y for _, y in peer.points] == pytest.approx([15, 20, 30])
    assert [x for x, _ in peer.extension] == list(range(4, 36))
    assert peer.extension[-1][1] == pytest.approx(10 + 5 * 35)
    for curve in people_chart(found).curves:
        assert all(low <= y <= high for (_, y), (low, high) in zip(curve.points, curve.bars, strict=False))


def test_a_slowed_stage_shows_in_its_own_figures(report, monkeypatch):
    """If drawing takes longer, only the figures of drawing change."""
    options, before = report

    class Slow(people.Overlay):
        def draw(self, image, poses):
            for _ in range(20):
                super().draw(image, poses)

    monkeypatch.setattr(people, "Overlay", Slow)
    with subject.open_subject("hprnet-mobile") as network:
        after = measure_people(network, MODEL_OPTIONS, options)
    drawing = [each.find("35 people", "everyone: drawing").p50_ms for each in (before, after)]
    assert drawing[1] > 2 * drawing[0]


def test_the_command_writes_everything_and_compares(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    wanted = [
        "bench",
        "people",
        "--people",
        "0",
        "3",
        "--picture",
        "160x90",
        "--size",
        "64",
        "--seconds",
        "0.01",
    ]
    assert main([*wanted, "--out", str(tmp_path), "-q"]) == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["people.csv", "people.json", "people.png", "people.svg"]
    capsys.readouterr()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    plain = tmp_path / "plain"
    assert main([*wanted, "--against", str(tmp_path / "people.json"), "--out", str(plain)]) == 0
    assert sorted(path.name for path in plain.iterdir()) == ["people.csv", "people.json"]
    out, err = capsys.readouterr()
    assert "found of placed: 0/0" in out
    assert "32 people at most" in out
    assert err.count("\n") == 1
    assert "no chart is drawn" in err and "pip install 'hprnet-rt[plot]'" in err


@pytest.mark.parametrize(
    ("entry", "value", "words"),
    [
        ("kind", "stages", "figures of bench stages cannot be compared with those of bench people"),
        ("machine", {"cores": 0}, "figures of two machines cannot be compared"),
        ("settings", {"size": 64}, "different settings"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_it_is_measured(
    tmp_path, monkeypatch, capsys, entry, value, words
):
    path = tmp_path / "people.json"
    report = BenchReport("people", {"size": 384}, ())
    path.write_text(json.dumps(json.loads(report.to_json()) | {entry: value}))
    monkeypatch.setattr(people, "take_turns", lambda *_, **__: pytest.fail("it was measured"))
    assert main(["bench", "people", "--against", str(path)]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["people", "--people", "-1", "2"], "a scene has 0 to 1000 people, got -1, 2"),
        (["people", "--people", "1", "100000"], "a scene has 0 to 1000 people"),
        (["people", "--peer-people", "0", "1"], "two numbers of people above 0"),
        (["released", "--people", "-3"], "a scene has 0 to 1000 people, got -3"),
        (["people", "--k", "0"], "k is at least 1"),
    ],
)
def test_people_whom_no_scene_has_are_refused_at_once(monkeypatch, capsys, arguments, words):
    monkeypatch.setattr(subject, "model_file_for", lambda *_: pytest.fail("a network was looked for"))
    assert main(["bench", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("size", ["0x0", "100000x100000", "720", "1x2x3", "axb", "-1x5", "²x5"])
def test_a_picture_of_no_size_is_refused(capsys, size):
    assert main(["bench", "people", f"--picture={size}"]) == 2
    assert f"a picture is WxH, each 1 to 8192, got {size!r}" in capsys.readouterr().err


def test_more_people_than_the_output_has_cells_are_refused(capsys):
    assert main(["bench", "people", "--k", "10000"]) == 2
    assert "returns 10000 people, more than the 5376 cells" in capsys.readouterr().err
    assert main(["bench", "people", "--k", "99999999999999999999"]) == 2
    assert "k is at most 65536" in capsys.readouterr().err


def test_mistakes_are_sentences_with_exit_codes(tmp_path, capsys):
    assert main(["bench", "people", "--people", "3", "3"]) == 2
    assert main(["bench", "people", "--against", str(tmp_path / "none.json")]) == 1
    assert main(["bench", "stages", str(tmp_path / "none.mp4")]) == 2
    assert main(["bench", "engines", "--model", "nothing"]) == 2
    assert main(["bench", "engines", "--backend", "torch"]) == 2
    assert main(["bench", "people", "--model", "nothing"]) == 2
    err = capsys.readouterr().err
    assert "two different numbers of people" in err
    assert "none.json cannot be read" in err
    assert "Traceback" not in err
