"""`evergreen profile`: a look at a use case's data, as one page that needs neither notebook nor network."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evergreen.errors import EmptyTrainingSet, SettingsError
from evergreen.private import make_private_folder, write_private_file
from evergreen.settings import Settings
from evergreen.usecase import EVENT_TIME, TIMELESS, Feature, OnDemandFeature, UseCase
from evergreen.usecases import load_use_case

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

# Beyond this many rows distributions and associations are drawn from a sample.
SAMPLE_ROWS = 50_000
_SEED = 7
_MOST_CARDS = 60


def write_profile(
    settings: Settings, use_case: str, as_of: datetime | None = None, output: Path | None = None
) -> Path:
    """Write the profile of the training set as of a moment (default: now) and return the page's path.

    Facts and freshness of the store, every feature with its missing share, distributions and associations
    (skrub's TableReport), the target by group, rank correlations. Without labelled rows it shows the stored
    ones. `output` defaults to `profiles/USE_CASE.html` in the home, and may be a folder for USE_CASE.html.
    Raises EmptyTrainingSet when nothing is stored at all, StoreUnreachable, SettingsError when the page
    cannot be written.
    """
    from evergreen.pages.page import render_page

    declared = load_use_case(use_case, settings)
    moment = as_of or datetime.now(UTC)
    frame, labelled = _rows(settings, declared, moment)
    columns = _columns(declared, frame, labelled)
    text = render_page(
        f"{declared.title}: the data",
        [
            declared.meaning,
            f"As of {moment:%Y-%m-%d %H:%M} UTC. {_describe_rows(declared, len(frame), labelled)}",
        ],
        _sections(settings, declared, moment, frame, columns, labelled),
    )
    target = output or settings.home / "profiles" / f"{use_case}.html"
    if target.is_dir():
        target /= f"{use_case}.html"
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


def _rows(settings: Settings, use_case: UseCase, as_of: datetime) -> tuple[pd.DataFrame, bool]:
    """The training set, or when there is none the newest stored rows; and whether it is the former."""
    from evergreen.store.connection.database import get_engine
    from evergreen.store.history.training_set import read_training_set
    from evergreen.store.online.vectors import read_rows_as_of

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
    if labelled:
        return (
            f"{rows:,} labelled rows: what a model would be trained on, as it was known at each label's time."
        )
    return f"{rows:,} stored rows, the newest of each {use_case.entity.name}: no label is known yet."


def _columns(use_case: UseCase, frame: pd.DataFrame, labelled: bool) -> dict[str, np.ndarray]:
    """Stored and on-demand features, and the label: arrays of shape (rows,)."""
    import numpy as np

    from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_frame

    columns = add_on_demand_columns(use_case, build_columns_from_frame(frame, use_case))
    if labelled:
        kind = object if use_case.label.classes else np.float64
        columns[use_case.label.name] = frame[use_case.label.name].to_numpy(dtype=kind)
    return columns


def _sections(
    settings: Settings,
    use_case: UseCase,
    as_of: datetime,
    frame: pd.DataFrame,
    columns: Mapping[str, np.ndarray],
    labelled: bool,
) -> list[Any]:
    from evergreen.pages.page import Section

    sections = [
        Section("The store", _store(settings, use_case, as_of)),
        Section("Features", _features(use_case, columns)),
    ]
    if labelled:
        sections.append(Section("Target by group", _render_target_groups(use_case, columns)))
    sections.append(Section("Correlations", _correlations(use_case, columns)))
    sections.append(Section("Every column", _report(use_case, frame, columns)))
    return sections


def _store(settings: Settings, use_case: UseCase, as_of: datetime) -> str:
    from evergreen.pages.page import render_note, render_table
    from evergreen.store.connection.database import get_engine
    from evergreen.store.records.summary import summarize_store

    facts = summarize_store(get_engine(settings), use_case).to_json()
    rows = [
        (name, f"{view['rows']:,}", f"{view['keys']:,}", *_format_newest(view["newest_event_time"], as_of))
        for name, view in facts["views"].items()
    ]
    label = facts["label"]
    rows.append(("label", f"{label['rows']:,}", "", *_format_newest(label["newest_event_time"], as_of)))
    last = facts["last_ingest"]
    said = "Nothing was ingested yet."
    if last:
        moment = datetime.fromisoformat(last["as_of"])
        count = last["rows_loaded"] or 0
        said = f"Last ingest as of {moment:%Y-%m-%d %H:%M} UTC: {last['status']}, {count:,} rows."
    header = ("table", "rows", "keys", "newest event", "age")
    return render_table(header, rows, numbers=(1, 2)) + render_note(
        f"{said} Counts are of now, with all versions of a row."
    )


def _format_newest(moment: str | None, as_of: datetime) -> tuple[str, str]:
    if moment is None:
        return "none", ""
    newest = datetime.fromisoformat(moment)
    if newest == TIMELESS:
        return "timeless", ""
    age = as_of - newest
    hours = age.total_seconds() / 3600
    return f"{newest:%Y-%m-%d %H:%M}", f"{hours / 24:,.1f} days" if hours >= 48 else f"{hours:,.1f} hours"


def _features(use_case: UseCase, columns: Mapping[str, np.ndarray]) -> str:
    import pandas as pd

    from evergreen.pages.page import render_table

    places = {feature.name: view.name for view in use_case.views for feature in view.features}
    used = {feature.name for feature in use_case.model_features}
    rows = []
    declared: list[Feature | OnDemandFeature] = [*use_case.stored_features, *use_case.on_demand_order]
    for feature in declared:
        values = columns[feature.name]
        missing = float(pd.isna(values).mean()) if len(values) else 0.0
        rows.append(
            (
                *(feature.name, places.get(feature.name, "on demand"), feature.dtype),
                *(f"{missing:.1%}", f"{pd.Series(values).nunique():,}"),
                "yes" if feature.name in used else "no",
                *(_domain(feature), feature.meaning),
            )
        )
    header = ("feature", "view", "type", "missing", "different", "in the model", "domain", "meaning")
    return render_table(header, rows, numbers=(3, 4))


def _domain(feature: Feature | OnDemandFeature) -> str:
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
    from evergreen.pages.charts import render_legend
    from evergreen.pages.page import render_note
    from evergreen.workbench.groups import group_by_feature
    from evergreen.workbench.page import render_feature_cards

    label = use_case.label
    inputs = {feature.name: columns[feature.name] for feature in use_case.model_features}
    found = group_by_feature(inputs, columns[label.name], label.classes)
    shown = found[:_MOST_CARDS]
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
    more = f" The {len(shown)} that explain most of {len(found)}." if len(shown) < len(found) else ""
    head = render_note(
        f"{label.name}: {label.meaning} A group's rows and its target: {what}. Explained is {how},"
        f" one feature at a time.{more}"
    )
    return (
        head
        + (render_legend(label.classes) if label.classes else "")
        + render_feature_cards(shown, label.classes)
    )


def _correlations(use_case: UseCase, columns: Mapping[str, np.ndarray]) -> str:
    import numpy as np
    import pandas as pd

    from evergreen.pages.page import render_note
    from evergreen.workbench.page import render_correlations

    numbers = {
        feature.name: columns[feature.name]
        for feature in use_case.model_features
        if feature.numeric and np.unique(columns[feature.name][:1000]).size > 1
    }
    label = use_case.label
    if label.name in columns:
        values = columns[label.name]
        if use_case.problem == "binary":
            numbers = {f"{label.name} = {label.classes[-1]}": (values == label.classes[-1]) * 1.0, **numbers}
        elif use_case.problem == "regression":
            numbers = {label.name: values, **numbers}
    if len(numbers) < 2:
        return render_note("Fewer than two numbers: nothing to correlate.")
    frame = _sample_rows(pd.DataFrame(numbers))
    told = f"Spearman's rank correlations of numbers, {_describe_sample(len(columns[next(iter(columns))]))}."
    return render_note(told) + render_correlations(frame)


def _report(use_case: UseCase, frame: pd.DataFrame, columns: Mapping[str, np.ndarray]) -> str:
    """skrub's TableReport: every column's values, distribution, and what goes with what."""
    import pandas as pd
    from skrub import TableReport

    from evergreen.pages.page import render_note

    whole = {f.name for f in use_case.stored_features if f.dtype == "int"}
    shown = pd.DataFrame(
        {
            name: pd.array(values, dtype="Int64") if name in whole else values
            for name, values in columns.items()
        }
    )
    timed = use_case.label.event_time or any(view.event_time for view in use_case.views)
    if timed and EVENT_TIME in frame:
        shown.insert(0, EVENT_TIME, frame[EVENT_TIME])
    label = use_case.label.name
    if label in shown:
        shown.insert(0, label, shown.pop(label))
    report = TableReport(_sample_rows(shown), title=use_case.title, verbose=0)
    told = render_note(f"Sort, filter and click a column; {_describe_sample(len(shown))}.")
    return told + str(report.html_snippet())


def _sample_rows(frame: pd.DataFrame) -> pd.DataFrame:
    if len(frame) <= SAMPLE_ROWS:
        return frame
    return frame.sample(SAMPLE_ROWS, random_state=_SEED).sort_index()


def _describe_sample(rows: int) -> str:
    return (
        f"of all {rows:,} rows" if rows <= SAMPLE_ROWS else f"of {SAMPLE_ROWS:,} of {rows:,} rows, by chance"
    )
