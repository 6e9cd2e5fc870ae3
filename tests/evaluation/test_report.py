"""Comparisons and reports."""

import csv
import io
import json

import pytest

from hprnet_rt.errors import UsageError
from hprnet_rt.evaluation import (
    FACE_BOXES,
    KEYPOINT_METRICS,
    PART_TYPES,
    MeasureOptions,
    compare,
    evaluate,
    measure,
    read_annotations,
    read_results,
    to_csv,
    to_json,
    to_markdown,
    to_text,
)
from hprnet_rt.evaluation.report import percent
from tests.evaluation.sets import EXAMPLE_GT, EXAMPLE_RESULTS, known_errors, random_set


@pytest.fixture(scope="module")
def pair():
    truth, results = random_set(0)
    parts = (*PART_TYPES, *FACE_BOXES)
    results = [one for one in results if "face_box" in one]
    return tuple(evaluate(truth, results[n:], parts, name=f"run {n}") for n in (0, 9))


def test_a_comparison_is_second_minus_first(pair):
    change = compare(*pair)
    assert list(change.change) == list(pair[0].scores)
    for part in change.change:
        for metric, difference in change[part].items():
            before, after = pair[0][part][metric], pair[1][part][metric]
            assert difference is None if before is None else difference == after - before


def test_what_cannot_be_compared(pair):
    example = evaluate(EXAMPLE_GT, EXAMPLE_RESULTS, ["body"])
    with pytest.raises(UsageError, match=r"example_pred.json was evaluated on 5 images and run 0 on"):
        compare(example, pair[0])
    with pytest.raises(UsageError, match="no part in common"):
        compare(example, evaluate(EXAMPLE_GT, EXAMPLE_RESULTS, ["foot"]))
    with pytest.raises(UsageError, match=r"part score and .* person score"):
        compare(example, evaluate(EXAMPLE_GT, EXAMPLE_RESULTS, ["body"], ranking="person"))


@pytest.mark.parametrize(
    ("value", "text", "signed"),
    [
        (None, "-", "-"),
        (0.0, "0.0", "+0.0"),
        (-0.0004, "0.0", "+0.0"),
        (0.3145, "31.4", "+31.4"),
        (1.0, "100.0", "+100.0"),
        (-0.25, "-25.0", "-25.0"),
    ],
)
def test_percent(value, text, signed):
    assert (percent(value), percent(value, sign=True)) == (text, signed)


def test_text_is_aligned_and_ends_nowhere_in_blanks(pair):
    for report in (*pair, list(pair), compare(*pair)):
        for table in to_text(report).split("\n\n"):
            lines = table.rstrip("\n").split("\n")
            assert len({len(line) for line in lines}) == 1
            assert all(line == line.rstrip() for line in lines)


def test_markdown_has_a_cell_for_every_column(pair):
    for report in (*pair, list(pair), compare(*pair)):
        for table in to_markdown(report).split("\n\n"):
            lines = table.strip().split("\n")
            assert len({line.count("|") for line in lines}) == 1
            assert set(lines[1]) <= set("|-: ")
    assert "| body |" in to_markdown(pair[0])
    assert "| run 0 | whole-body |" in to_markdown(list(pair))


def test_csv_has_one_table_with_empty_cells_for_what_is_not_there(pair):
    rows = list(csv.DictReader(io.StringIO(to_csv(list(pair)))))
    assert len(rows) == 2 * len(pair[0].scores)
    body, box = rows[0], next(row for row in rows if row["part"] == "face box")
    assert body["results"] == "run 0"
    assert body["AP"] == percent(pair[0]["body"]["AP"])
    assert body["AR100"] == box["AR50"] == ""
    assert box["AR100"] == percent(pair[0]["face_box"]["AR100"])


def test_json_has_full_precision_and_null_for_nothing(pair):
    one = json.loads(to_json(pair[0]))
    assert one["scores"] == {part: dict(values) for part, values in pair[0].scores.items()}
    assert (one["name"], one["people"]) == ("run 0", pair[0].people)
    assert [entry["name"] for entry in json.loads(to_json(list(pair)))] == ["run 0", "run 9"]
    difference = json.loads(to_json(compare(*pair)))["change"]["body"]
    assert tuple(difference) == KEYPOINT_METRICS
    assert difference["AP"] == pair[1]["body"]["AP"] - pair[0]["body"]["AP"]


@pytest.fixture(scope="module")
def measured():
    truth, found = known_errors()
    options = MeasureOptions(alpha=0.25, missing_wrong=True, hand_drawn=0.5, face_drawn=0.6)
    return measure(read_annotations(truth), read_results(found), options=options)


def test_measures_are_three_tables_with_a_sentence_each(measured):
    text = to_text(measured).split("\n")
    assert text[0].startswith("Of 3 people 2 found; 0 other detections")
    assert "of all, missing ones being wrong, by size, PCK within 0.25 of a part's length:" in text[0]
    cells = [line.split() for line in text]
    (hand,) = (line for line in cells if line[:2] == ["hand", "all"])
    assert hand[2:5] + hand[6:] == ["6", "4", "2", "33.3", "53.33", "45.00"]
    assert ["hand", "0.5", "6", "66.7", "0", "-"] in cells
    assert ["face", "0.6", "3", "0.0", "0", "-"] in cells
    assert ["left", "hand", "0.5-0.6", "42", "50.0"] in cells
    assert all(line == line.rstrip() for line in text)
    markdown = to_markdown(measured)
    assert markdown.count("| --- |") == 3
    assert "| left hand | 0.5-0.6 | 42 | 50.0 |" in markdown


def test_measures_as_csv_and_json(measured):
    rows = list(csv.DictReader(io.StringIO(to_csv(measured))))
    assert len(rows) == len(measured.rows) + len(measured.drawn) + len(measured.reliability)
    (hand,) = (row for row in rows if (row["part"], row["size"]) == ("hand", "all"))
    assert (hand["PCK"], hand["NME"], hand["median NME"], hand["score"]) == ("33.3", "53.33", "45.00", "")
    data = json.loads(to_json(measured))
    assert data["options"]["alpha"] == 0.25
    assert [row["nme"] for row in data["rows"]] == [row.nme for row in measured.rows]
    assert data["drawn"][0]["of_labelled"] == 0
    assert len(data["reliability"]) == len(measured.reliability)
