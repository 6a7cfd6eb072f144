"""The vocabulary in which a use case is declared, as small frozen dataclasses.

Everything that Evergreen builds for a use case (tables, DAGs, request schema, checks, drift, load test)
follows from one `UseCase`. Standard library only, so that DAG files and the command line load it fast. All
datetimes are time-zone aware UTC.
"""

from evergreen.usecase.contract import Contract, Freshness, Reference, RowCount, Rule
from evergreen.usecase.features import Entity, Feature, FeatureSet, Key, OnDemandFeature
from evergreen.usecase.gate import GATE_CHECKS, SLICE_METRICS, Approval, Floor, Gate, Slice
from evergreen.usecase.names import (
    CATEGORY_CHARACTERS,
    EVENT_TIME,
    IDENTIFIER_LENGTH,
    KEY_CHARACTERS,
    LABEL,
    NAME,
    PAGE_BYTES,
    RESERVED_COLUMNS,
    RESERVED_VIEWS,
    ROW_BYTES,
    ROW_NUMBER,
    TEXT_BYTES,
    TIMELESS,
    DType,
    Problem,
    Severity,
    Split,
    check_name,
)
from evergreen.usecase.policies import DriftPolicy, QuietHours, RetrainPolicy, Schedules, Serving, WindowRule
from evergreen.usecase.sources import FileFormat, FileSource, Source, SqlSource
from evergreen.usecase.trial import Trial, TrialLimits, TrialMode, WithoutVerdict
from evergreen.usecase.tuning import Between, OneOf, Tuning
from evergreen.usecase.use_case import UseCase
from evergreen.usecase.views import FeatureView, Label

__all__ = [
    "CATEGORY_CHARACTERS",
    "EVENT_TIME",
    "GATE_CHECKS",
    "IDENTIFIER_LENGTH",
    "KEY_CHARACTERS",
    "LABEL",
    "NAME",
    "PAGE_BYTES",
    "RESERVED_COLUMNS",
    "RESERVED_VIEWS",
    "ROW_BYTES",
    "ROW_NUMBER",
    "SLICE_METRICS",
    "TEXT_BYTES",
    "TIMELESS",
    "Approval",
    "Between",
    "Contract",
    "DType",
    "DriftPolicy",
    "Entity",
    "Feature",
    "FeatureSet",
    "FeatureView",
    "FileFormat",
    "FileSource",
    "Floor",
    "Freshness",
    "Gate",
    "Key",
    "Label",
    "OnDemandFeature",
    "OneOf",
    "Problem",
    "QuietHours",
    "Reference",
    "RetrainPolicy",
    "RowCount",
    "Rule",
    "Schedules",
    "Serving",
    "Severity",
    "Slice",
    "Source",
    "Split",
    "SqlSource",
    "Trial",
    "TrialLimits",
    "TrialMode",
    "Tuning",
    "UseCase",
    "WindowRule",
    "WithoutVerdict",
    "check_name",
]
