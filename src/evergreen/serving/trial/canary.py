"""A canary: the rows of a batch divided between champion and challenger by their keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evergreen.errors import StoreError
from evergreen.model.loaded_model import LoadedModel
from evergreen.model.request_inputs import RequestValues
from evergreen.serving.fast.predictor import PredictedRows, Predictor
from evergreen.serving.trial.running import RunningTrial
from evergreen.store.predictions.channels import CHALLENGER, ONLINE


@dataclass(frozen=True, eq=False)
class PredictedGroup:
    """The rows of a batch that one version has predicted: their places in it, and how they are logged."""

    places: Sequence[int]
    channel: str
    predicted: PredictedRows


def predict_canary(
    predictor: Predictor,
    champion: LoadedModel,
    running: RunningTrial,
    rows: Sequence[RequestValues],
    ids: Sequence[str],
) -> list[PredictedGroup]:
    """Predict each row by the version that its key belongs to: one prediction each at most.

    Where the challenger fails, the champion answers, and the failure is counted. Raises StoreError of an
    on-demand feature, which is the row's fault and not the model's.
    """
    share = running.share
    is_challenged = [share.contains(row, id_) for row, id_ in zip(rows, ids, strict=True)]
    groups = []
    own = [place for place, challenged in enumerate(is_challenged) if challenged]
    if own:
        predicted = _ask_challenger(predictor, running, [rows[n] for n in own], [ids[n] for n in own])
        if predicted is None:
            own = []
        else:
            groups.append(PredictedGroup(own, CHALLENGER, predicted))
    taken = set(own)
    rest = [place for place in range(len(rows)) if place not in taken]
    if rest:
        predicted = predictor.predict(champion, [rows[n] for n in rest], [ids[n] for n in rest])
        running.tally.observe_champion(predicted.outcome, predicted.model_seconds)
        groups.append(PredictedGroup(rest, ONLINE, predicted))
    return groups


def _ask_challenger(
    predictor: Predictor, running: RunningTrial, rows: Sequence[RequestValues], ids: Sequence[str]
) -> PredictedRows | None:
    """The challenger's predictions; None where it fails."""
    try:
        predicted = predictor.predict(running.model, rows, ids)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001  whatever a challenger raises, the request is answered
        running.observe_failure(len(rows), error)
        return None
    return predicted if running.observe_challenger(predicted.outcome, predicted.model_seconds) else None
