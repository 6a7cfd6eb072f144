"""Two replicas on one volume, and each prediction's outcome sent to the other one."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

from benchmarks.chaos.fault import Fault, Report, Size
from benchmarks.chaos.stand import Stand

from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.prediction_log import read_predictions

_OUTCOMES_A_CALL = 100


def cross_feedback(stand: Stand, size: Size, report: Report) -> None:
    """MariaDB is away meanwhile, so that outcomes come before their predictions.

    Thoroughly, one replica is killed, and another one is started.
    """
    bench, classes = stand.bench, stand.world.use_case.label.classes
    began = datetime.now(UTC)
    sent: dict[str, str] = {}
    with stand.run_service("replica-1") as first:
        with stand.run_service("replica-2") as second:
            bench.stop()
            for one, other in ((first, second), (second, first)):
                with stand.run_load(one, rate=size.rate) as load:
                    one.await_rows(int(size.rate))
                report.failed += load.failed
                actuals = dict(zip(load.ids, itertools.cycle(classes), strict=False))
                with other.client() as client:
                    pairs = list(actuals.items())
                    for start in range(0, len(pairs), _OUTCOMES_A_CALL):
                        client.feedback_batch(pairs[start : start + _OUTCOMES_A_CALL])
                sent |= actuals
            if size.thorough:
                second.kill_all()
            bench.start()
            if not size.thorough:
                second.await_drained()
        if size.thorough:
            with stand.run_service("replica-3") as third:
                stand.reconcile(report, list(sent))
                third.await_drained()
        else:
            stand.reconcile(report, list(sent))
        first.await_drained()
    database = get_engine(stand.world.settings)
    frame = read_predictions(database, stand.world.use_case, began, datetime.now(UTC))
    joined = dict(zip(frame["prediction_id"], frame["actual"], strict=True))
    report.facts["outcomes"] = len(sent)
    report.require_at_most("outcomes_not_joined", len(sent.items() - joined.items()), 0)
    report.judge_counts()


FAULT = Fault(
    "two_replicas",
    "two replicas on one volume, feedback to the other one, MariaDB away: every outcome is joined",
    cross_feedback,
)
