"""Charts of curves, as SVG and PNG."""

import os
import stat
from xml.etree import ElementTree

import cv2
import pytest

from hprnet_rt.charts import Chart, Curve, write_chart
from hprnet_rt.errors import OutputError, UsageError

matplotlib = pytest.importorskip("matplotlib", reason="the extra plot is not installed")

SVG = "{http://www.w3.org/2000/svg}"
CURVES = (
    Curve(
        "ours <fast>",
        [(1, 10.0), (50, 11.0)],
        bars=[(9.0, 12.0), (10.5, 11.5)],
        extension=[(50, 11), (80, 12)],
    ),
    Curve("fitted", [(1, 12.0), (50, 25.0)], fitted=True),
    Curve("paper", [(1, 37.0), (50, 37.0)], published=True),
)


def texts(svg):
    return [each.text for each in ElementTree.parse(svg).iter(f"{SVG}text")]


def test_both_forms_show_every_curve_and_note(tmp_path):
    chart = Chart("Runtime", "people", "ms", CURVES, ["a note"])
    svg, png = write_chart(chart, tmp_path / "people-0.5")
    assert [svg.name, png.name] == ["people-0.5.svg", "people-0.5.png"]
    assert {"Runtime", "people", "ms", "ours <fast>", "fitted", "paper", "a note", "50"} <= set(texts(svg))
    image = cv2.imread(str(png))
    assert image.shape[1] == 1248
    assert 0.01 < (image != 255).any(axis=2).mean() < 0.5
    assert sorted(tmp_path.iterdir()) == [png, svg]


@pytest.mark.parametrize(
    ("values", "settings", "ticks"),
    [
        ((10.0, 150.0), {}, {"0", "20", "40"}),
        ((10.0, 5000.0), {}, {"10", "100", "1000"}),
        ((10.0, 150.0), {"y_log": True}, {"10", "20", "50", "100"}),
        ((10.0, 150.0), {"x_log": True}, {"1", "2", "5", "10", "20", "50"}),
    ],
)
def test_axes_are_logarithmic_when_they_are_told_to_or_values_differ_much(tmp_path, values, settings, ticks):
    curve = Curve("ours", [(1, values[0]), (50, values[1])])
    svg, _ = write_chart(Chart("Runtime", "people", "ms", [curve], **settings), tmp_path / "chart")
    assert ticks <= set(texts(svg))


def test_bars_and_extensions_change_the_picture(tmp_path):
    points = [(1, 10.0), (20, 30.0)]
    curves = (
        Curve("ours", points),
        Curve("ours", points, bars=[(8, 12), (20, 31)]),
        Curve("ours", points, extension=[(20, 30), (40, 50)]),
    )
    drawn = {
        write_chart(Chart("t", "x", "y", [curve]), tmp_path / f"{number}")[0].read_text()
        for number, curve in enumerate(curves)
    }
    assert len(drawn) == 3


def test_the_same_chart_gives_the_same_file_whatever_the_user_s_settings(tmp_path):
    chart = Chart("t", "x", "y", CURVES)
    first = write_chart(chart, tmp_path / "first")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        second = write_chart(chart, tmp_path / "second")
        assert matplotlib.rcParams["font.size"] == 30
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_bar_for_each_point_or_none():
    with pytest.raises(UsageError, match="ours has 1 points and 2 error bars"):
        Curve("ours", [(1, 1)], bars=[(0, 1), (0, 2)])
    with pytest.raises(UsageError, match="ours has no points"):
        Curve("ours", [])


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_a_sentence(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(OutputError, match=r"cannot write .*chart\.svg"):
        write_chart(Chart("t", "x", "y", CURVES), tmp_path / "chart")


def test_a_folder_that_is_gone_is_a_sentence(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write .*chart\.svg"):
        write_chart(Chart("t", "x", "y", CURVES), tmp_path / "none" / "chart")
