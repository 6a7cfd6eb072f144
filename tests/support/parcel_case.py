"""A small use case of the tests' own, with every kind of feature: will a parcel be late?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evergreen.settings import Settings
from evergreen.usecase import UseCase
from evergreen.usecases import load_use_case

SOURCE = '''"""Will a parcel be late?"""

from datetime import timedelta

import numpy as np

from evergreen.usecase import (
    Entity, Feature, FeatureView, FileSource, Key, Label, OnDemandFeature, Serving, Tuning, UseCase,
)


def density(weight, volume):
    """Kilograms per litre."""
    return weight / volume


def heavy(weight, carrier):
    """Heavy for its carrier."""
    return np.where(weight > 20, carrier, None).astype(object)


USE_CASE = UseCase(
    name="parcel",
    title="Late parcels",
    meaning="Will a parcel arrive later than promised?",
    entity=Entity("parcel", (Key("parcel_id", "int", "The parcel's number"),)),
    views=(
        FeatureView(
            "shipment",
            FileSource("parcels.csv"),
            (
                Feature("weight", "float", "Weight in kilograms", minimum=0.1, maximum=50),
                Feature("volume", "float", "Volume in litres", minimum=0.1, maximum=200),
                Feature("stops", "int", "Stops on the way", minimum=0, maximum=12),
                Feature("carrier", "category", "Who carries it", allowed=("foot", "bike", "van")),
                Feature("depot", "category", "Where it starts", max_null_share=0.2),
                Feature("temperature", "float", "Celsius on the way", max_null_share=0.3),
                Feature("note", "text", "What the sender wrote", max_null_share=0.5, used_by_model=False),
            ),
            "What is known when it is handed in",
            event_time="handed_in",
        ),
    ),
    label=Label("late", FileSource("parcels.csv"), "Did it arrive late?", classes=("no", "yes"),
                event_time="handed_in", delay=timedelta(days=2)),
    on_demand=(OnDemandFeature(density), OnDemandFeature(heavy, "category")),
    tuning=Tuning(trials=1, seconds=5, iterations=20),
    serving=Serving(max_batch=500),
)
'''


def declare(settings: Settings) -> UseCase:
    """Write the use case into the settings' own folder of use cases and load it."""
    folder = Path(settings.use_cases) / "parcel"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").write_text(SOURCE)
    return load_use_case("parcel", settings)


def row(**changes: Any) -> dict[str, Any]:
    """A request row that the service accepts."""
    return {
        "parcel_id": 7,
        "weight": 2.5,
        "volume": 10.0,
        "stops": 3,
        "carrier": "van",
        "depot": "north",
        "temperature": 11.5,
        "note": "handle with care",
        **changes,
    }
