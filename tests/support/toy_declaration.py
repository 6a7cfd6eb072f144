"""A small binary use case for tests: who of a shop's clients leaves? See the fixtures `toy_*`."""

from datetime import timedelta

import numpy as np

from evergreen.usecase import (
    Between,
    DriftPolicy,
    Entity,
    Feature,
    FeatureView,
    FileSource,
    Gate,
    Key,
    Label,
    OnDemandFeature,
    RetrainPolicy,
    Tuning,
    UseCase,
)


def spend_per_visit(spend, visits):
    """Money spent per visit."""
    return spend / np.maximum(visits, 1.0)


SOURCE = FileSource("toy.csv")

SPACE = (
    Between("depth", 2, 4),
    Between("l2_leaf_reg", 1.0, 10.0, log=True),
    Between("learning_rate", 0.03, 0.3, log=True),
)

USE_CASE = UseCase(
    name="toy",
    title="Toy",
    meaning="Will this client leave?",
    entity=Entity("client", (Key("client_id", "int", "The client's number"),)),
    views=(
        FeatureView(
            "facts",
            SOURCE,
            (
                Feature("age", "int", "Age in years", minimum=0, maximum=120),
                Feature("visits", "int", "Visits in the month", minimum=0),
                Feature("spend", "float", "Money spent in the month", minimum=0, max_null_share=0.2),
                Feature(
                    "segment",
                    "category",
                    "How the client came",
                    allowed=("web", "shop", "phone"),
                    max_null_share=0.2,
                ),
                Feature("mood", "category", "What the client last said", max_null_share=0.5),
            ),
            "What a client did in a month.",
            event_time="month",
        ),
    ),
    label=Label(
        "leaves",
        SOURCE,
        "Did the client leave within a week?",
        classes=("no", "yes"),
        event_time="month",
        delay=timedelta(days=7),
    ),
    on_demand=(OnDemandFeature(spend_per_visit),),
    tuning=Tuning(trials=2, seconds=20, space=SPACE, iterations=60, early_stopping_rounds=10),
    # What makes a client leave is nearly linear: the linear baseline may be a little ahead.
    gate=Gate(metric="roc_auc", margin=-0.05, baseline_margin=-0.05),
    drift=DriftPolicy(min_rows=100),
    retrain=RetrainPolicy(),
)
