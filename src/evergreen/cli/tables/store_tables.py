"""How the feature store and a new use case are shown in a terminal. Texts from data are never markup."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from evergreen.stack.view import build_grid, render_outcome, shorten_moment
from evergreen.validation.report import Report

if TYPE_CHECKING:
    from evergreen.store.history.recorded_set import TrainingSetEntry
    from evergreen.store.records.feature_list import FeatureFacts, FeatureList, StoredFeature, TableSize
    from evergreen.store.tables.compare import Change
    from evergreen.workbench.new import NewUseCase
    from evergreen.workbench.online_lookup import OnlineFeatures

_REJECTED_COLUMNS_SHOWN = 6
_ID_SHOWN = 8


def add_row(table: Table, *cells: object) -> None:
    """Add a row of plain texts."""
    table.add_row(*(cell if isinstance(cell, Text) else Text(_format_value(cell)) for cell in cells))


def render_title(text: str) -> Text:
    """The title of a table, after an empty line."""
    return Text(f"\n{text}", style="bold")


def render_online_features(rows: Sequence[OnlineFeatures]) -> RenderableType:
    """`evergreen get-online-features`: a line per feature and a column per key; below, what is missing."""
    columns = [" ".join(map(str, row.key.values())) for row in rows]
    table = build_grid("feature", *columns)
    for name in dict.fromkeys(name for row in rows for name in row.features):
        add_row(table, name, *(_format_online_value(row.features.get(name)) for row in rows))
    notes = [
        *(f"{key}: the online store does not have it" for key, row in _pair(columns, rows) if not row.known),
        *(f"{key}: stale {view}" for key, row in _pair(columns, rows) for view in row.stale_views),
        *(f"{key}: no row of {view}" for key, row in _pair(columns, rows) for view in row.missing_views),
    ]
    return Group(table, *(Text(note, style="yellow") for note in notes))


def _format_online_value(value: object) -> Text | object:
    return Text("missing", style="dim") if value is None else value


def _pair(columns: Sequence[str], rows: Sequence[OnlineFeatures]) -> list[tuple[str, OnlineFeatures]]:
    return list(zip(columns, rows, strict=True))


def render_features(facts: FeatureList) -> RenderableType:
    """`evergreen features`: the entity, then each view with its features, what is computed, and the label."""
    keys = ", ".join(f"{key.name} ({key.type}): {key.meaning}" for key in facts.keys)
    ingested = (
        f"newest ingest as of {shorten_moment(facts.newest_ingest.isoformat())}"
        if facts.newest_ingest
        else "no ingest yet"
    )
    blocks: list[RenderableType] = [
        Text(f"{facts.use_case}: {facts.title} ({facts.problem}), {ingested}", style="bold"),
        Text(f"entity {facts.entity} by {keys}"),
    ]
    sets = ["sets"] if facts.feature_sets else []
    for view in facts.views:
        table = build_grid(
            "feature", "type", "missing", "model", *sets, "domain", "meaning", right=("missing",)
        )
        for feature in view.features:
            add_row(
                table,
                *_list_feature_cells(feature, sets, _format_missing_share(feature)),
                _format_domain(feature),
                feature.meaning,
            )
        size = _describe_size(view.source, view.size, keys=view.keys, max_age_seconds=view.max_age_seconds)
        blocks += [render_title(f"{view.name}: {view.meaning}"), Text(size), table]
    if facts.on_demand:
        table = build_grid("feature", "type", "model", *sets, "computed from", "meaning")
        for computed in facts.on_demand:
            add_row(table, *_list_feature_cells(computed, sets), ", ".join(computed.inputs), computed.meaning)
        blocks += [render_title("on demand: computed from other features, the same way everywhere"), table]
    label = facts.label
    classes = f" ({', '.join(label.classes)})" if label.classes else ""
    blocks += [
        render_title(f"label {label.name}{classes}: {label.meaning}"),
        Text(_describe_size(label.source, label.size, delay_seconds=label.delay_seconds)),
    ]
    if facts.feature_sets:
        table = build_grid("feature set", "features", "meaning")
        for each in facts.feature_sets:
            name = f"{each.name} (the model's)" if each.given_to_model else each.name
            add_row(table, name, ", ".join(each.features), each.meaning)
        blocks += [Text(), table]
    return Group(*blocks)


def _list_feature_cells(feature: FeatureFacts, sets: Sequence[str], *missing: str) -> tuple[str, ...]:
    """The cells that stored and on-demand features have in common; the sets only where there are any."""
    set_cells = [", ".join(feature.feature_sets)] if sets else []
    return (
        feature.name,
        feature.type,
        *missing,
        "yes" if feature.used_by_model else "no",
        *set_cells,
    )


def _format_missing_share(feature: StoredFeature) -> str:
    share = feature.null_rate
    return "" if share is None else f"{share:.1%}"


def _format_domain(feature: StoredFeature) -> str:
    if feature.allowed:
        return ", ".join(feature.allowed)
    low, high = feature.minimum, feature.maximum
    if low is None and high is None:
        return ""
    return f"{'' if low is None else format(low, 'g')}..{'' if high is None else format(high, 'g')}"


def _describe_size(
    source: str,
    size: TableSize,
    *,
    keys: int | None = None,
    max_age_seconds: float | None = None,
    delay_seconds: float = 0.0,
) -> str:
    """Source, rows, keys and freshness of a view or the label, as one line."""
    parts = [f"from {source}", f"{size.rows:,} rows"]
    if keys is not None:
        parts.append(f"{keys:,} keys")
    if size.newest_event_time:
        newest = f"newest {shorten_moment(size.newest_event_time.isoformat())}"
        parts.append(newest + (f", {_format_age(size.age_seconds)}" if size.age_seconds is not None else ""))
    elif size.rows:
        parts.append("timeless")
    if max_age_seconds:
        parts.append(f"good for {timedelta(seconds=max_age_seconds)}")
    if delay_seconds:
        parts.append(f"known {timedelta(seconds=delay_seconds)} later")
    return "; ".join(parts)


def _format_age(seconds: float) -> str:
    age = str(timedelta(seconds=round(abs(seconds))))
    return f"{age} {'before' if seconds >= 0 else 'after'} the newest ingest"


def render_changes(changes: Sequence[Change], next_step: str) -> RenderableType:
    """`evergreen features diff` and `evergreen apply`: a line per change, and what to do then."""
    table = build_grid("table", "column", "change", "declared", "found")
    for change in changes:
        add_row(table, change.table, change.column, change.kind, change.declared, change.found)
    return Group(table, Text(f"\n{next_step}"))


def render_ingest_runs(runs: Sequence[Mapping[str, Any]]) -> RenderableType:
    """`evergreen ingest-runs`: a line per run, with so much of its id that no other begins so."""
    counts = ("rows in", "loaded", "rejected", "seconds")
    objections = {run["id"]: _describe_objections(run["report"]) for run in runs}
    more = ["objections"] if any(objections.values()) else []
    table = build_grid("id", "as of", "status", *counts, *more, "source", right=counts)
    for column in table.columns:
        column.no_wrap = column.header in ("id", *counts)
    table.columns[1].min_width = len("2026-07-01")
    ids = [run["id"] for run in runs]
    length = next(n for n in range(_ID_SHOWN, 37) if len({each[:n] for each in ids}) == len(ids))
    for run in runs:
        numbers = (run["rows_in"], run["rows_loaded"], run["rows_rejected"])
        seconds = "" if run.get("seconds") is None else f"{run['seconds']:.1f}"
        add_row(
            table,
            run["id"][:length],
            shorten_moment(run["as_of"].isoformat()),
            _render_run_status(run),
            *("" if number is None else f"{number:,}" for number in numbers),
            seconds,
            *([objections[run["id"]]] if more else []),
            ", ".join(name.rstrip("/").rpartition("/")[2] for name in _list_source_names(run)),
        )
    again = [_render_rerun_hint(run) for run in runs if run["status"] == "interrupted"]
    return Group(table, *again) if again else table


def _render_rerun_hint(run: Mapping[str, Any]) -> Text:
    """The command that repeats a run that was interrupted."""
    command = f"evergreen run ingest {run['use_case']} --as-of {run['as_of'].isoformat()}"
    if run["source_override"]:
        command += f" --source {shlex.quote(run['source_override'])}"
    moment = shorten_moment(run["as_of"].isoformat())
    return Text(f"\nas of {moment}: interrupted, nothing was loaded. Run it again: {command}", style="yellow")


def _render_run_status(run: Mapping[str, Any]) -> Text:
    """The status, coloured; `nothing new` for a run all of whose inputs were loaded before."""
    entries = [each for part in (run.get("inputs") or {}).values() for each in part]
    if run["status"] == "loaded" and entries and all("unchanged" in each for each in entries):
        return Text("nothing new", style="dim")
    styles = {"loaded": "green", "failed": "red", "interrupted": "yellow"}
    return Text(run["status"], style=styles.get(run["status"], ""))


def _describe_objections(report: Any) -> str:
    """How many checks were broken, or why nothing could be checked."""
    if not report:
        return ""
    if "error" in report:
        return str(report["error"])
    severities = [failure["severity"] for part in report.values() for failure in part["failures"]]
    counts = {what: severities.count(what) for what in ("error", "warning")}
    return ", ".join(f"{n} {what}{'s' * (n > 1)}" for what, n in counts.items() if n)


def _list_source_names(run: Mapping[str, Any]) -> list[str]:
    """The names of what was read, each once."""
    inputs = run.get("inputs") or {}
    names = [each["name"] for part in inputs.values() for each in part]
    return list(dict.fromkeys(names)) or [run["source_override"]]


def render_ingest_run(run: Mapping[str, Any]) -> RenderableType:
    """`evergreen ingest-runs --run`: its facts, its inputs, the report of its checks and what it rejected."""
    other = ("report", "inputs", "quarantine")
    facts = {name: value for name, value in run.items() if name not in other and value not in (None, "")}
    blocks: list[RenderableType] = [render_outcome({n: _format_value(v) for n, v in facts.items()})]
    if run.get("inputs"):
        table = build_grid("part", "input", "rows", "held back", "digest", right=("rows", "held back"))
        for part, inputs in run["inputs"].items():
            for each in inputs:
                add_row(
                    table, part, each["name"], each.get("rows"), each.get("held_back"), each["digest"][:12]
                )
        blocks += [Text(), table]
    report = run["report"] or {}
    if "error" in report:
        blocks.append(Text(f"\n{report['error']}", style="red"))
    elif run["status"] == "interrupted":
        blocks.append(_render_rerun_hint(run))
    else:
        blocks += [Text(f"\n{Report.from_json(part_report).as_table()}") for part_report in report.values()]
    if run["quarantine"]:
        table = build_grid("part", "row", "why", "content", right=("row",))
        for each in run["quarantine"]:
            content = list(each["content"].items())
            content_text = ", ".join(
                f"{name}={_format_value(value)}" for name, value in content[:_REJECTED_COLUMNS_SHOWN]
            )
            more = ", ..." if len(content) > _REJECTED_COLUMNS_SHOWN else ""
            add_row(table, each["part"], each["row"], "; ".join(each["reasons"]), content_text + more)
        blocks += [render_title("in quarantine"), table]
    return Group(*blocks)


def render_datasets(use_case_name: str, entries: Sequence[TrainingSetEntry]) -> RenderableType:
    """`evergreen dataset list`: a line per training run."""
    if not entries:
        return f"No model of {use_case_name} was trained yet: evergreen train {use_case_name}"
    table = build_grid("training run", "as of (UTC)", "status", "version", "rows", "digest", "MLflow run")
    for entry in entries:
        add_row(
            table,
            entry.training_run,
            f"{entry.as_of:%Y-%m-%d %H:%M}",
            entry.status,
            entry.model_version or "",
            "" if entry.rows is None else f"{entry.rows:,}",
            (entry.digest or "")[:12],
            entry.mlflow_run or "",
        )
    return table


def render_dataset(facts: Mapping[str, Any]) -> RenderableType:
    """`evergreen dataset`: a line per fact, and the tables that were joined."""
    lines = {
        name: _format_value(value) for name, value in facts.items() if name != "query" and value is not None
    }
    query = facts.get("query")
    if not query:
        return render_outcome(lines)
    if query["since"]:
        lines["labels since"] = query["since"]
    table = build_grid("table", "role", "columns", "good for")
    keys = _format_columns(query["keys"])
    label, delay = query["label"], timedelta(seconds=query["label"]["delay_seconds"])
    role = f"labels, known {delay} later" if delay else "labels"
    add_row(table, label["table"], role, f"{keys}, {_format_columns(label['columns'])}", "")
    for view in query["views"]:
        age = view["max_age_seconds"]
        good = "" if age is None else timedelta(seconds=age)
        add_row(table, view["table"], "features", _format_columns(view["columns"]), good)
    return Group(render_outcome(lines), render_title("each label with the newest features known then"), table)


def _format_columns(pairs: Sequence[Sequence[str]]) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in pairs)


def render_new_use_case(created: NewUseCase) -> RenderableType:
    """`evergreen new`: what was inferred, what was left out, and what to do next."""
    classes = f" ({', '.join(created.classes)})" if created.classes else ""
    table = build_grid("feature", "column", "type", "model", "meaning")
    for feature in created.features:
        model = "yes" if feature.used_by_model else "no"
        add_row(table, feature.name, feature.column, feature.type, model, feature.meaning)
    facts = {
        "written": str(created.file),
        "rows": created.rows,
        "predicts": f"{created.target}: {created.problem}{classes}",
        "by key": ", ".join(created.keys),
        "time": created.time or "none: rows are timeless",
    }
    blocks: list[RenderableType] = [render_outcome(facts), Text(), table]
    blocks += [Text(f"left out: {each.column}: {each.reason}") for each in created.left_out]
    blocks += [Text(f"note: {note}") for note in created.notes]
    blocks.append(Text(f"\nNext: say there what the columns mean, then: {created.next_command}"))
    return Group(*blocks)


def _format_value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
