"""Survival on the Titanic: a small binary problem on a real CSV file, scored from file to file.

The data are Kaggle's public passenger list (891 labelled rows in train.csv, 418 in test.csv). Point the
setting EVERGREEN_SOURCES at your copy: `{"titanic": "path/to/train.csv"}`.
"""

from __future__ import annotations

from datetime import timedelta

from evergreen.usecase import (
    Between,
    DriftPolicy,
    Entity,
    Feature,
    FeatureSet,
    FeatureView,
    FileSource,
    Floor,
    Gate,
    Key,
    Label,
    OnDemandFeature,
    RetrainPolicy,
    Schedules,
    Serving,
    Slice,
    Tuning,
    UseCase,
)
from evergreen.usecases.titanic import features

SOURCE = FileSource(path="data/titanic/train.csv")

# The limits of missing values suit train.csv and test.csv: Age is missing in 20 and 21 %, Cabin in 77 and 78
# %, Embarked in two rows of the first, Fare in one row of the second.
PASSENGER = FeatureView(
    name="passenger",
    source=SOURCE,
    meaning="One passenger as the ship's lists have them.",
    features=(
        Feature("pclass", "int", "Ticket class: 1, 2 or 3.", minimum=1, maximum=3, column="Pclass"),
        Feature(
            "name",
            "text",
            "Family name, title and given names: 'Braund, Mr. Owen Harris'.",
            used_by_model=False,
            column="Name",
        ),
        Feature("sex", "category", "female or male.", allowed=("female", "male"), column="Sex"),
        Feature(
            "age",
            "float",
            "Age in years, fractions under 1; .5 marks an estimate.",
            minimum=0,
            maximum=110,
            max_null_share=0.35,
            column="Age",
        ),
        Feature("sibsp", "int", "Siblings and spouses aboard.", minimum=0, maximum=15, column="SibSp"),
        Feature("parch", "int", "Parents and children aboard.", minimum=0, maximum=15, column="Parch"),
        Feature(
            "ticket",
            "text",
            "The ticket's letters and number: 'PC 17599'.",
            used_by_model=False,
            column="Ticket",
        ),
        Feature(
            "fare",
            "float",
            "What the ticket cost, in pounds of 1912.",
            minimum=0,
            maximum=1000,
            max_null_share=0.02,
            column="Fare",
        ),
        Feature(
            "cabin",
            "text",
            "Cabin(s): 'C85' or 'B57 B59'; mostly unknown.",
            max_null_share=0.95,
            used_by_model=False,
            column="Cabin",
        ),
        Feature(
            "embarked",
            "category",
            "Port of embarkation: C Cherbourg, Q Queenstown, S Southampton.",
            allowed=("C", "Q", "S"),
            max_null_share=0.02,
            column="Embarked",
        ),
    ),
)

USE_CASE = UseCase(
    name="titanic",
    title="Titanic survival",
    meaning="Predicts whether a passenger of the Titanic survived, from the ship's passenger list.",
    entity=Entity(
        "passenger",
        (Key("passenger_id", "int", "Number of the passenger in the list.", column="PassengerId"),),
    ),
    views=(PASSENGER,),
    label=Label(
        name="survived",
        source=SOURCE,
        meaning="1 if the passenger survived, 0 if not.",
        classes=("0", "1"),
        column="Survived",
    ),
    on_demand=(
        OnDemandFeature(features.title, dtype="category"),
        OnDemandFeature(features.family_size),
        OnDemandFeature(features.is_alone),
        OnDemandFeature(features.fare_per_person),
        OnDemandFeature(features.is_child),
        OnDemandFeature(features.deck, dtype="category"),
        OnDemandFeature(features.ticket_office, dtype="category"),
        OnDemandFeature(features.ticket_number),
    ),
    feature_sets=(
        FeatureSet(
            "as_listed",
            ("pclass", "sex", "age", "sibsp", "parch", "fare", "embarked"),
            "What the list says, nothing computed from it.",
        ),
    ),
    split="stratified",
    tuning=Tuning(
        space=(
            Between("depth", 4, 7),
            Between("l2_leaf_reg", 2.0, 8.0, log=True),
            Between("learning_rate", 0.02, 0.08, log=True),
        ),
        trials=10,
        seconds=60.0,
        iterations=500,
        early_stopping_rounds=60,
    ),
    # On a hold-out of 179 passengers the ROC AUC is uncertain by about 0.03, so a difference below it is
    # allowed.
    gate=Gate(metric="roc_auc", baseline_margin=-0.03, floors=(Floor("roc_auc", 0.8),)),
    # Women and children were saved first, so groups differ by nature and the slices have no limits.
    slices=(Slice("sex", sensitive=True), Slice("pclass", edges=(2, 3))),
    drift=DriftPolicy(psi_threshold=0.25, min_features=3, min_rows=200, window=timedelta(days=30)),
    retrain=RetrainPolicy(on_drift=True),
    serving=Serving(port=3001),
    # The list is complete, so nothing is ingested by schedule.
    schedules=Schedules(ingest=None, monitor="@daily"),
)
