"""The picture and the page of a trial: which version answered how much, and how the trial ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from evergreen.errors import SettingsError
from evergreen.loop.trial import TrialReport
from evergreen.pages.axis import build_number_axis
from evergreen.pages.colours import AMBER, BLUE, GREEN, SOFT
from evergreen.pages.drawing import Picture
from evergreen.pages.numbers import format_number
from evergreen.pages.page import Section, render_facts, render_page, render_table
from evergreen.pages.plot import Curve, Guide, Remark, draw_plot
from evergreen.private import write_private_file
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records.model_trial import ModelTrial
from evergreen.store.records.trial_course import TrialCourse, read_trial_course
from evergreen.usecases import load_use_case

_WIDTH = 720
# Times are told in the greatest unit of which the course has at least two.
_UNITS = ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


def write_trial_page(settings: Settings, report: TrialReport, path: Path) -> None:
    """Write the page of the newest trial, or for a file `*.svg` its picture alone.

    Raises SettingsError for another suffix, a file that cannot be written, or without a trial;
    StoreUnreachable.
    """
    if path.suffix not in (".html", ".svg"):
        raise SettingsError(f"{path.name} is neither a page nor a picture", hint="name it *.html or *.svg")
    if report.trial is None:
        raise SettingsError(
            f"{report.use_case} has had no trial yet: there is nothing to draw",
            hint=f"start one: evergreen trial start {report.use_case} VERSION",
        )
    use_case = load_use_case(report.use_case, settings)
    course = read_trial_course(get_engine(settings), use_case, report.trial, datetime.now(UTC))
    is_picture = path.suffix == ".svg"
    text = draw_trial(report.trial, course).to_svg() if is_picture else render_trial_page(report, course)
    try:
        write_private_file(path, text, keep_mode=True)
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be written: {error.strerror}", hint="give a file in a folder of yours"
        ) from error


def draw_trial(trial: ModelTrial, course: TrialCourse) -> Picture:
    """Rows a second of each version in the course of a trial, with its start and its end."""
    length = max((len(counts) for counts in course.rows.values()), default=1)
    span = (course.step * length).total_seconds()
    unit, unit_name = next((unit, name) for unit, name in _UNITS if span >= 2 * unit or unit == 1.0)

    def locate(since_start: timedelta) -> float:
        """A moment on the x axis: the time since the start of the trial."""
        return since_start.total_seconds() / unit

    before = course.start - trial.started_at
    step = course.step.total_seconds()
    curves = [
        Curve(
            _name_version(trial, version, is_on_trial),
            [(locate(before + course.step * (n + 0.5)), rows / step) for n, rows in enumerate(counts)],
            _choose_tint(trial, version, is_on_trial),
            dots=False,
        )
        for (version, is_on_trial), counts in sorted(course.rows.items(), key=lambda item: item[0][::-1])
    ]
    top = max([1e-9, *(y for curve in curves for _, y in curve.points)]) * 1.15
    marks = [(0.0, "start")]
    if trial.ended_at is not None:
        outcome = (trial.outcome or "").replace("_", " ")
        marks.append((locate(trial.ended_at - trial.started_at), f"end: {outcome}"))
    drawing = draw_plot(
        build_number_axis(
            (),
            f"{unit_name} since the start of the trial",
            ends=(locate(before), locate(before) + span / unit),
        ),
        build_number_axis((), "logged rows a second", ends=(0.0, top), about=5),
        curves,
        guides=[Guide((at, 0.0), (at, top)) for at, _ in marks],
        remarks=[Remark(text, (at, top), (5, 12)) for at, text in marks],
        width=_WIDTH,
    )
    note = f"From {trial.started_at:%Y-%m-%d %H:%M:%S} UTC" + (
        f" to {trial.ended_at:%H:%M:%S}: {trial.reason}" if trial.ended_at else "; it runs"
    )
    return Picture(f"{trial.use_case}: {trial.describe()}", drawing, note)


def render_trial_page(report: TrialReport, course: TrialCourse) -> str:
    """The HTML page of the newest trial. It needs a report with a trial."""
    trial = report.trial
    assert trial is not None
    picture = draw_trial(trial, course)
    classes = sorted({name for rows in report.rows for name in rows.classes})
    table = render_table(
        ["", "version", "rows", *classes, *(["mean"] if not classes else []), "outcomes", report.error],
        [
            [
                *(role, f"v{rows.version}", f"{rows.rows:,}"),
                *(f"{rows.classes.get(name, 0) / rows.rows:.1%}" if rows.rows else None for name in classes),
                *([] if classes else [None if rows.mean is None else format_number(rows.mean)]),
                f"{rows.error.rows:,}" if rows.error else None,
                rows.error.describe() if rows.error else None,
            ]
            for role, rows in zip(("champion", "challenger", "rival"), report.rows, strict=False)
        ],
        numbers=range(2, 6 + len(classes)),
    )
    facts = render_facts(
        {
            "started": f"{trial.started_at:%Y-%m-%d %H:%M:%S} UTC by {trial.started_by}",
            "ends at the latest": f"{trial.ends_at:%Y-%m-%d %H:%M:%S} UTC",
            "ended": f"{trial.ended_at:%Y-%m-%d %H:%M:%S} UTC by {trial.ended_by}"
            if trial.ended_at
            else None,
            "outcome": (trial.outcome or "").replace("_", " "),
            "reason": trial.reason,
            "comparison": report.comparison,
            "which is better": report.verdict.sentence if report.verdict else None,
        }
    )
    sections = [
        Section("Course", picture.drawing.to_html()),
        Section("Versions", table),
        Section("Trial", facts),
    ]
    return render_page(f"Trial of {trial.use_case}", [trial.describe()], sections)


def _name_version(trial: ModelTrial, version: int, is_on_trial: bool) -> str:
    if not is_on_trial:
        return f"v{version}, champion" if version == trial.champion_version else f"v{version}"
    if version == trial.rival_version:
        return f"v{version}, rival"
    return f"v{version}, {'shadow' if trial.mode == 'shadow' else 'challenger'}"


def _choose_tint(trial: ModelTrial, version: int, is_on_trial: bool) -> str:
    if is_on_trial:
        return BLUE if version == trial.rival_version else AMBER
    return GREEN if version == trial.champion_version else SOFT
