"""Charts: drawn for every kind of data, escaped, inside their area, small, the same bytes each time."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from xml.dom import minidom

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.pages.axis import build_category_axis, build_number_axis, choose_number_axis
from evergreen.pages.drawing import (
    Drawing,
    Picture,
    arrange_in_grid,
    draw_notice,
    draw_text,
    estimate_width,
    shorten_to_width,
    wrap_text,
)
from evergreen.pages.matrix import draw_confusion_matrix
from evergreen.pages.model_charts.answers import (
    draw_class_curves,
    draw_confusion,
    draw_residuals,
    draw_true_and_predicted,
)
from evergreen.pages.model_charts.quality import (
    CalibrationBin,
    CurvePoint,
    GroupValue,
    SliceValues,
    TrainingCurve,
    draw_calibration,
    draw_importance,
    draw_learning_curve,
    draw_slices,
    draw_training_curve,
)
from evergreen.pages.model_charts.search import (
    TrialLoss,
    draw_search_history,
    draw_search_importance,
    draw_search_parameters,
)
from evergreen.pages.plot import Curve, draw_plot

EVIL = "<b>&\"' \x00\x0b"
NAN = math.nan


def read(picture: Picture) -> str:
    """The text of a picture's file, which is well-formed XML without a number that is none."""
    svg = picture.to_svg()
    document = minidom.parseString(svg)
    assert not re.search(r"nan|inf\b", re.sub(r">[^<]*<", "><", svg))
    assert picture.drawing.to_html().startswith("<svg")
    return "\n".join(
        node.firstChild.data for node in document.getElementsByTagName("text") if node.firstChild is not None
    )


def trials(count: int = 20) -> list[TrialLoss]:
    return [
        TrialLoss(
            n,
            ("complete", "pruned", "complete", "failed")[n % 4],
            None if n % 4 == 3 else (9.0 if n % 4 == 1 else 0.5 + math.sin(n) / 10),
            {"depth": 4 + n % 3, "learning_rate": 0.003 * 1.3**n, "grow_policy": "ab"[n % 2], "none": None},
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 14, 15, 30, 100])
def test_a_confusion_matrix_of_any_number_of_classes(count: int) -> None:
    names = [f"{EVIL} class {n}" for n in range(count)]
    counts = [[1000 if i == j else (i + j) % 3 for j in range(count)] for i in range(count)]
    text = read(draw_confusion(EVIL, names, counts))
    assert "rows of the hold-out" in text
    assert ("1,000" in text.split("\n")) == (count <= 14)
    assert len(draw_confusion(EVIL, names, counts).to_svg()) < 200_000


def test_a_confusion_matrix_of_classes_without_rows() -> None:
    assert "0%" in draw_confusion_matrix(["a", "b"], [[0, 0], [0, 0]]).body


def test_numbers_that_are_none_are_left_out_of_scatter_and_residuals() -> None:
    truth, predictions = [1.0, NAN, 3.0, math.inf], [1.5, 2.0, 2.0, 4.0]
    assert "2 rows of the hold-out" in read(draw_true_and_predicted("t", truth, predictions))
    assert "2 rows; half of the residuals lie below 0.25" in read(draw_residuals("t", truth, predictions))
    for draw in (draw_true_and_predicted, draw_residuals):
        assert "No row has both" in read(draw("t", [NAN], [1.0]))
        read(draw("t", [1.0] * 50, [1.0] * 50))


def test_the_training_curve_marks_its_best() -> None:
    trees = list(range(1, 101))
    curve = TrainingCurve(trees, [1 / t for t in trees], [1 / t + 0.1 for t in trees], 80, "log loss")
    assert "best: 80 trees, 0.1125" in read(draw_training_curve(curve))
    read(draw_training_curve(TrainingCurve([1], [0.5], [0.6], 1, "RMSE")))
    read(draw_training_curve(TrainingCurve([1, 2], [0.5, 0.4], [], None, "RMSE")))


def test_the_learning_curve_names_its_metric_and_last_values() -> None:
    points = [CurvePoint(1000 * share, 0.9, 0.6 + share / 5) for share in (0.1, 0.5, 1.0)]
    text = read(draw_learning_curve([*points, CurvePoint(1100, 1.0, None)], "roc_auc"))
    assert "ROC AUC" in text
    assert "0.8" in text.split("\n")


def test_calibration_before_or_after_or_both() -> None:
    bins = [CalibrationBin(sure / 10, sure / 11, 100 * sure) for sure in range(4, 10)]
    both = read(draw_calibration("t", bins, bins))
    assert "before the correction" in both
    assert "after the correction" in both
    assert "after" not in read(draw_calibration("t", bins[:1], []))
    assert "No bin" in read(
        draw_calibration("t", [CalibrationBin(NAN, 0.5, 3), CalibrationBin(0.5, 0.5, 0)], [])
    )


def test_importance_puts_the_greatest_on_top() -> None:
    lines = read(draw_importance("t", {"small": 0.0004, "great": 0.61, "$middle$": 0.2})).split("\n")
    assert [line for line in lines if line in ("small", "great", "$middle$")] == [
        "great",
        "$middle$",
        "small",
    ]
    assert {"0.610", "0.200", "0.0004"} <= set(lines)
    many = {f"feature_{n}": 1.0 / (n + 1) for n in range(200)}
    assert "25 greatest of 200" in read(draw_importance("t", many))
    read(draw_importance("t", {"none": 0.0}))


def test_slices_show_rows_and_who_is_judged() -> None:
    groups = [GroupValue(EVIL, 1000 * n + 5, n > 0, 0.8 + n / 100) for n in range(5)]
    unknown = GroupValue("unknown", 1, False, None)
    age = SliceValues("age", True, "accuracy", [*groups, unknown])
    text = read(draw_slices([age, SliceValues("mood", False, "accuracy", groups[:1])]))
    assert {"age (sensitive)", "mood", "0.820", "2,005"} <= set(text.split("\n"))
    assert "too few rows" in text
    assert "unknown" not in text


def test_a_group_whose_metric_is_zero_is_drawn() -> None:
    zero = SliceValues("age", False, "recall", [GroupValue("none found", 40, True, 0.0)])
    assert "none found" in read(draw_slices([zero]))


def test_the_search_is_drawn() -> None:
    text = read(draw_search_history(trials()))
    assert "20 trials: 10 complete, 5 pruned, 5 failed." in text
    assert "upper edge" in text
    best = min((t for t in trials() if t.state == "complete"), key=lambda t: t.loss or 0.0)
    assert f"trial {best.number:g}: " in text
    text = read(draw_search_parameters(trials()))
    assert {"depth", "learning_rate", "grow_policy"} <= set(text.split("\n"))
    assert "none" not in text
    assert "62.0%" in read(draw_search_importance({"depth": 0.62, "learning_rate": 0.38}))
    pruned = [TrialLoss(each.number, "pruned", each.loss, each.parameters) for each in trials(3)]
    for some in (trials(1), pruned):
        read(draw_search_history(some))
        read(draw_search_parameters(some))


@pytest.mark.parametrize(
    ("draw", "word"),
    [
        (lambda: draw_importance("t", {}), "No importance"),
        (lambda: draw_calibration("t", [], []), "No bin"),
        (lambda: draw_training_curve(TrainingCurve([], [], [], None, "loss")), "No curve"),
        (lambda: draw_learning_curve([], "accuracy"), "No learning curve"),
        (lambda: draw_slices([]), "No slice"),
        (lambda: draw_search_history([TrialLoss(1, "failed", None, {})]), "No trial"),
        (lambda: draw_search_parameters([TrialLoss(1, "failed", None, {})]), "No trial"),
        (lambda: draw_search_importance({}), "Too few trials"),
        (lambda: draw_class_curves("t", [], 2, 1), "single class"),
        (lambda: draw_residuals("t", [], []), "No row"),
    ],
)
def test_nothing_to_draw_is_said(draw: Callable[[], Picture], word: str) -> None:
    assert word in read(draw())


@given(
    points=st.lists(st.tuples(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9)), max_size=20),
    broken=st.booleans(),
)
def test_a_plot_draws_inside_its_area(points: list[tuple[float, float]], broken: bool) -> None:
    drawn = [*points, (NAN, 1.0), (1.0, math.inf)] if broken else points
    x, y = (build_number_axis([point[i] for point in drawn], "title") for i in (0, 1))
    drawing = draw_plot(x, y, [Curve("a", drawn)])
    assert "nan" not in drawing.body
    for left, top in re.findall(r"M(-?[\d.]+) (-?[\d.]+)h0", drawing.body):
        assert 0 <= float(left) <= drawing.width
        assert 0 <= float(top) <= drawing.height


def test_a_long_line_keeps_its_shape_in_few_points() -> None:
    points = [(float(n), abs(5_000.0 - n)) for n in range(10_001)]
    axis = build_number_axis([0.0, 10_000.0])
    body = draw_plot(axis, axis, [Curve("", points, dots=False)]).body
    [line] = re.findall(r'd="(M[^"]+L[^"]+)" fill="none" stroke="#2a7f4f" stroke-width="2"', body)
    assert line.count("L") == 2


def test_values_of_different_magnitude_have_a_logarithmic_axis() -> None:
    axis = choose_number_axis([0.003, 0.3])
    assert axis.logarithmic
    assert [label for _, label in axis.ticks][:3] == ["0.005", "0.01", "0.02"]
    assert not choose_number_axis([4, 6]).logarithmic
    assert not choose_number_axis([0.0, 100.0]).logarithmic
    assert [label for _, label in choose_number_axis([4, 6]).ticks] == ["4", "5", "6"]


def test_long_names_below_an_axis_are_turned() -> None:
    y = build_number_axis([0.0, 1.0])
    short, long = (
        draw_plot(build_category_axis([name] * 6), y, width=300) for name in ("ab", "a long name of a value")
    )
    assert "rotate" not in short.body
    assert "rotate" in long.body
    assert long.height > short.height


def test_text_fits_and_is_escaped() -> None:
    assert estimate_width("wide WIDE") > estimate_width("illi tilt")
    text = shorten_to_width("a rather long name", 60)
    assert text.endswith("…")
    assert estimate_width(text) <= 60
    assert shorten_to_width("short", 60) == "short"
    assert all(estimate_width(line) <= 100 for line in wrap_text("several words " * 9 + "x" * 99, 100))
    assert "&lt;b&gt;&amp;" in draw_text(0, 0, EVIL)
    assert "\x00" not in draw_text(0, 0, EVIL)


def test_drawings_in_a_grid_do_not_overlap() -> None:
    grid = arrange_in_grid([Drawing(100, 50, "", "a"), Drawing(60, 80, "", "b"), Drawing(90, 10, "", "c")], 2)
    assert (grid.width, grid.height) == (100 + 18 + 60, 80 + 18 + 10)
    assert "translate(118 0)" in grid.body
    assert "translate(0 98)" in grid.body


def test_a_file_has_title_note_and_a_white_ground() -> None:
    svg = Picture(f"Title {EVIL}", draw_notice("nothing"), f"A note {EVIL}").to_svg()
    minidom.parseString(svg)
    assert 'fill="white"' in svg
    assert svg.startswith('<svg xmlns="http://www.w3.org/2000/svg" width="')
    assert "<b>" not in svg
