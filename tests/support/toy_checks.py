"""The toy's contract, changed and applied to raw rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pandas as pd
import pyarrow as pa

from evergreen.usecase import Contract, FeatureView, Label
from evergreen.validation.checker import Checker
from evergreen.validation.report import Report
from support import toy_declaration

TOY = toy_declaration.USE_CASE


def view(contract: Contract | None = None, **features: dict[str, Any]) -> FeatureView:
    """The toy's view with another contract, and with something else said of some of its features."""
    facts = TOY.views[0]
    changed = tuple(replace(f, **features.get(f.name, {})) for f in facts.features)
    return replace(facts, features=changed, contract=contract or Contract())


def table(raw: pd.DataFrame) -> pa.Table:
    return pa.table(
        {name: pa.array(raw[name].tolist(), pa.string(), from_pandas=True) for name in raw.columns}
    )


def checked(
    part: FeatureView | Label, raws: Iterable[pd.DataFrame], **known: Any
) -> tuple[pa.Table, Checker, Report]:
    checker = Checker(TOY, part, **known)
    cleaned = [checker.clean(table(raw)) for raw in raws]
    return pa.concat_tables([checker.schema.empty_table(), *cleaned]), checker, checker.finish()


def found(report: Report) -> list[tuple[str, str, int, str]]:
    return [(f.column, f.check, f.count, f.severity) for f in report.failures]
