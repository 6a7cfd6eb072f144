"""The rows of a request divided between the champion and the versions on trial, by their keys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from evergreen.model.loaded_model import LoadedModel
from evergreen.model.request_inputs import RequestValues
from evergreen.serving.fast.predictor import PredictedRows, Predictor
from evergreen.serving.trial.arm import Arm
from evergreen.serving.trial.running import RunningTrial
from evergreen.store.predictions.channels import CHALLENGER, ONLINE


@dataclass(frozen=True, eq=False)
class PredictedGroup:
    """The rows of a request that one version has predicted: their places in it, and how they are logged."""

    places: Sequence[int]
    channel: str
    predicted: PredictedRows


def predict_divided(
    predictor: Predictor,
    champion: LoadedModel,
    running: RunningTrial,
    rows: Sequence[RequestValues],
    ids: Sequence[str],
) -> list[PredictedGroup]:
    """Predict each row by the version that its key belongs to: one prediction each at most.

    Waits for the versions on trial, each for its limit at most, so it is not for an event loop. Where one
    fails, the champion answers, and the failure is counted. Raises StoreError of an on-demand feature.
    """
    places: defaultdict[Arm | None, list[int]] = defaultdict(list)
    for place, (row, id_) in enumerate(zip(rows, ids, strict=True)):
        places[running.find_arm(row, id_)].append(place)

    def predict_by_champion(own: Sequence[int]) -> PredictedGroup:
        predicted = predictor.predict(champion, [rows[n] for n in own], [ids[n] for n in own])
        running.observe_champion(predicted.outcome, predicted.model_seconds)
        return PredictedGroup(own, ONLINE, predicted)

    champions = places.pop(None, [])
    futures = {
        arm: arm.submit(predictor, [rows[n] for n in own], [ids[n] for n in own])
        for arm, own in places.items()
        if arm is not None
    }
    groups = [predict_by_champion(champions)] if champions else []
    for arm, future in futures.items():
        own = places[arm]
        predicted = arm.take_answer(len(own), partial(arm.wait_for, future))
        if predicted is None:
            future.cancel()
            groups.append(predict_by_champion(own))
        else:
            groups.append(PredictedGroup(own, CHALLENGER, predicted))
    return groups
