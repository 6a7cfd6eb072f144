"""`evergreen profile`: one HTML page about a use case's stored data, which opens without a network."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from skrub import TableReport

from evergreen.errors import EmptyTrainingSet, SettingsError
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_frame
from evergreen.pages.charts import render_legend
from evergreen.pages.page import Section, render_note, render_page, render_table
from evergreen.private import make_private_folder, write_private_file
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.history.training_set import read_training_set
from evergreen.store.online.vectors import read_rows_as_of
from evergreen.store.records.summary import summarize_store
from evergreen.usecase import EVENT_TIME, TIMELESS, Feature, OnDemandFeature, UseCase
from evergreen.usecases import load_use_case
from evergreen.workbench.groups import group_by_feature
from evergreen.workbench.page import render_correlations, render_feature_cards

# Beyond this many rows distributions and associations are drawn from a sample.
SAMPLE_ROWS = 50_000
_SEED = 7
_MOST_CARDS = 60


def write_profile(
    settings: Settings, use_case_name: str, as_of: datetime | None = None, output: Path | None = None
) -> Path:
    """Write the profile of the training set as of a moment (default: now) and return the page's path.

    Facts and freshness of the store, every feature with its missing share, distributions and associations
    (skrub's TableReport), the target by group, rank correlations. Without labelled rows it shows the stored
    ones. `output` defaults to `profiles/USE_CASE.html` in the home, and may be a folder for USE_CASE.html.
    Raises EmptyTrainingSet when nothing is stored at all, StoreUnreachable, SettingsError when the page
    cannot be written.
    """
    use_case = load_use_case(use_case_name, settings)
    moment = as_of or datetime.now(UTC)
    frame, labelled = _read_rows(settings, use_case, moment)
    columns = _build_columns(use_case, frame, labelled)
    text = render_page(
        f"{use_case.title}: the data",
        [
            use_case.meaning,
            f"As of {moment:%Y-%m-%d %H:%M} UTC. {_describe_rows(use_case, len(frame), labelled)}",
        ],
        _build_sections(settings, use_case, moment, frame, columns, labelled),
    )
    target = output or settings.home / "profiles" / f"{use_case_name}.html"
    if target.is_dir():
        target /= f"{use_case_name}.html"
    try:
        make_private_folder(target.parent)
        # It holds people's values: a new page is for its owner, one that was shared stays shared.
        write_private_file(target, text, keep_mode=output is not None)
    except OSError as error:
        raise SettingsError(
            f"the page cannot be written to {target}: {error.strerror or error}",
            hint="name another file with --output",
        ) from error
    return target


def _read_rows(settings: Settings, use_case: UseCase, as_of: datetime) -> tuple[pd.DataFrame, bool]:
    """The training set and True, or where no row has a label yet the newest stored rows and False."""
    database = get_engine(settings)
    try:
        return read_training_set(database, use_case, as_of).frame, True
    except EmptyTrainingSet as error:
        frame = read_rows_as_of(database, use_case, as_of)
        if frame.empty:
            raise EmptyTrainingSet(
                f"{use_case.name} holds no rows as of {as_of:%Y-%m-%d %H:%M} UTC",
                hint=f"ingest first: evergreen run ingest {use_case.name}",
            ) from error
        return frame, False


def _describe_rows(use_case: UseCase, rows: int, labelled: bool) -> str:
    """A sentence about what the rows of the page are."""
    if labelled:
        return (
            f"{rows:,} labelled rows: what a model would be trained on, as it was known at each label's time."
        )
    return f"{rows:,} stored rows, the newest of each {use_case.entity.name}: no label is known yet."


def _build_columns(use_case: UseCase, frame: pd.DataFrame, labelled: bool) -> dict[str, np.ndarray]:
    """Stored and on-demand features, and the label: arrays of shape (rows,)."""
    columns = add_on_demand_columns(use_case, build_columns_from_frame(frame, use_case))
    if labelled:
        kind = object if use_case.label.classes else np.float64
        columns[use_case.label.name] = frame[use_case.label.name].to_numpy(dtype=kind)
    return columns


def _build_sections(
    settings: Settings,
    use_case: UseCase,
    as_of: datetime,
    frame: pd.DataFrame,
    columns: Mapping[str, np.ndarray],
    labelled: bool,
) -> list[Section]:
    """The sections of the page; the target by group only where rows have a label."""
    sections = [
        Section("The store", _render_store(settings, use_case, as_of)),
        Section("Features", _render_features(use_case, columns)),
    ]
    if labelled:
        sections.append(Section("Target by group", _render_target_groups(use_case, columns)))
    sections.append(Section("Correlations", render_correlation_section(use_case, columns)))
    sections.append(Section("Every column", _render_report(use_case, frame, columns)))
    return sections


def _render_store(settings: Settings, use_case: UseCase, as_of: datetime) -> str:
    """Rows, keys and the newest event of each table, and the last ingest."""
    facts = summarize_store(get_engine(settings), use_case)
    rows = [
        (name, f"{view.rows:,}", f"{view.keys:,}", *_format_newest(view.newest_event_time, as_of))
        for name, view in facts.views.items()
    ]
    label = facts.label
    rows.append(("label", f"{label.rows:,}", "", *_format_newest(label.newest_event_time, as_of)))
    last = facts.last_ingest
    last_ingest = "Nothing was ingested yet."
    if last:
        count = last.rows_loaded or 0
        last_ingest = f"Last ingest as of {last.as_of:%Y-%m-%d %H:%M} UTC: {last.status}, {count:,} rows."
    header = ("table", "rows", "keys", "newest event", "age")
    return render_table(header, rows, numbers=(1, 2)) + render_note(
        f"{last_ingest} Counts are of now, with all versions of a row."
    )


def _format_newest(newest: datetime | None, as_of: datetime) -> tuple[str, str]:
    """The moment of the newest row, in UTC, and its age at `as_of`."""
    if newest is None:
        return "none", ""
    if newest == TIMELESS:
        return "timeless", ""
    age = as_of - newest
    hours = age.total_seconds() / 3600
    return f"{newest:%Y-%m-%d %H:%M}", f"{hours / 24:,.1f} days" if hours >= 48 else f"{hours:,.1f} hours"


def _render_features(use_case: UseCase, columns: Mapping[str, np.ndarray]) -> str:
    """A table of all declared features with their missing shares and numbers of different values."""
    places = {feature.name: view.name for view in use_case.views for feature in view.features}
    model_inputs = {feature.name for feature in use_case.model_features}
    rows = []
    declared: list[Feature | OnDemandFeature] = [*use_case.stored_features, *use_case.on_demand_order]
    for feature in declared:
        values = columns[feature.name]
        missing = float(pd.isna(values).mean()) if len(values) else 0.0
        rows.append(
            (
                *(feature.name, places.get(feature.name, "on demand"), feature.dtype),
                *(f"{missing:.1%}", f"{pd.Series(values).nunique():,}"),
                "yes" if feature.name in model_inputs else "no",
                *(_describe_domain(feature), feature.meaning),
            )
        )
    header = ("feature", "view", "type", "missing", "different", "in the model", "domain", "meaning")
    return render_table(header, rows, numbers=(3, 4))


def _describe_domain(feature: Feature | OnDemandFeature) -> str:
    """The values that a feature may have, or what an on-demand feature is computed from."""
    if isinstance(feature, OnDemandFeature):
        return f"of {', '.join(feature.inputs)}"
    if feature.allowed:
        return ", ".join(feature.allowed)
    ends = [
        f"{word} {value:g}"
        for word, value in (("from", feature.minimum), ("to", feature.maximum))
        if value is not None
    ]
    return " ".join(ends)


def _render_target_groups(use_case: UseCase, columns: Mapping[str, np.ndarray]) -> str:
    """A card per input of the model: how the target is spread over the input's groups."""
    label = use_case.label
    inputs = {feature.name: columns[feature.name] for feature in use_case.model_features}
    groups = group_by_feature(inputs, columns[label.name], label.classes)
    first = groups[:_MOST_CARDS]
    how = (
        "Theil's U: the part of the target's entropy that goes when the group is known"
        if label.classes
        else "the correlation ratio η²: between-group variance over all variance"
    )
    what = {
        "binary": f'the number is the share of "{"".join(label.classes[-1:])}"',
        "multiclass": "the colours are the shares of its classes",
        "regression": "its mean, from the least to the greatest",
    }[use_case.problem]
    more = f" The {len(first)} that explain most of {len(groups)}." if len(first) < len(groups) else ""
    head = render_note(
        f"{label.name}: {label.meaning} A group's rows and its target: {what}. Explained is {how},"
        f" one feature at a time.{more}"
    )
    return (
        head
        + (render_legend(label.classes) if label.classes else "")
        + render_feature_cards(first, label.classes)
    )


def render_correlation_section(use_case: UseCase, columns: Mapping[str, np.ndarray]) -> str:
    """Rank correlations of the model's numeric inputs, with the target where it is a number or binary."""
    numbers = {feature.name: columns[feature.name] for feature in use_case.model_features if feature.numeric}
    label = use_case.label
    if label.name in columns:
        values = columns[label.name]
        if use_case.problem == "binary":
            numbers = {f"{label.name} = {label.classes[-1]}": (values == label.classes[-1]) * 1.0, **numbers}
        elif use_case.problem == "regression":
            numbers = {label.name: values, **numbers}
    frame = _sample_rows(pd.DataFrame(numbers))
    frame = frame.loc[:, frame.nunique() > 1]  # with a constant nothing is correlated
    if frame.shape[1] < 2:
        return render_note("Fewer than two numbers: nothing to correlate.")
    note = f"Spearman's rank correlations of numbers, {_describe_sample(len(columns[next(iter(columns))]))}."
    return render_note(note) + render_correlations(frame)


def _render_report(use_case: UseCase, frame: pd.DataFrame, columns: Mapping[str, np.ndarray]) -> str:
    """skrub's TableReport: every column's values and distribution, and associations of columns."""
    whole = {f.name for f in use_case.stored_features if f.dtype == "int"}
    table = pd.DataFrame(
        {
            name: pd.array(values, dtype="Int64") if name in whole else values
            for name, values in columns.items()
        }
    )
    has_times = use_case.label.event_time or any(view.event_time for view in use_case.views)
    if has_times and EVENT_TIME in frame:
        table.insert(0, EVENT_TIME, frame[EVENT_TIME])
    label = use_case.label.name
    if label in table:
        table.insert(0, label, table.pop(label))
    report = TableReport(_sample_rows(table), title=use_case.title, verbose=0)
    note = render_note(f"Sort, filter and click a column; {_describe_sample(len(table))}.")
    return note + str(report.html_snippet())


def _sample_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows, or SAMPLE_ROWS of them in their order, the same ones each time."""
    if len(frame) <= SAMPLE_ROWS:
        return frame
    return frame.sample(SAMPLE_ROWS, random_state=_SEED).sort_index()


def _describe_sample(rows: int) -> str:
    return (
        f"of all {rows:,} rows" if rows <= SAMPLE_ROWS else f"of {SAMPLE_ROWS:,} of {rows:,} rows, by chance"
    )
