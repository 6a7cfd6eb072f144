"""Champions that change all the time, forwards and back, under load."""

from __future__ import annotations

from collections import Counter

import numpy as np
from benchmarks.chaos.fault import Fault, Report, Size
from benchmarks.chaos.stand import Load, Stand
from benchmarks.serving.world import USE_CASE

from evergreen.model.on_demand import build_columns_from_rows
from evergreen.model.predict import predict_rows
from evergreen.registry.lock import lock_use_case
from evergreen.registry.models import load_model
from evergreen.registry.succession.rollback import roll_back
from evergreen.store.connection.database import get_engine

_TOLERANCE = 1e-9


def swap_champions(stand: Stand, size: Size, report: Report) -> None:
    """Every other change is a rollback to the champion before."""
    world, database = stand.world, get_engine(stand.world.settings)
    stand.make_champion(stand.versions[0])
    slowest = 0.0
    with stand.run_service("swapped") as service:
        service.await_version(stand.versions[0])
        with stand.run_load(service, connections=4) as load:
            for number in range(size.swaps):
                present = stand.read_champion_version()
                if number % 2 == 0:
                    others = [version for version in stand.versions if version != present]
                    target = others[number // 2 % len(others)]
                    stand.promote(target, present)
                else:
                    with lock_use_case(database, USE_CASE):
                        entry = roll_back(
                            world.settings, database, world.use_case, None, actor="chaos", reason="swapped"
                        ).entry
                    target = int(entry.to_version or 0)
                slowest = max(slowest, service.await_version(target))
                service.await_rows(5)
        report.failed += load.failed
        stand.reconcile(report, load.ids)
    by_version = Counter(int(answer["model_version"]) for answer in load.answers)
    report.facts |= {"swaps": size.swaps, "answers_by_version": dict(by_version), "slowest_swap_s": slowest}
    report.require_at_most("answers_of_another_version", count_foreign_answers(stand, load), 0)
    report.require(
        "versions", sorted(by_version), str(stand.versions), set(by_version) == set(stand.versions)
    )
    report.judge_counts()


def count_foreign_answers(stand: Stand, load: Load) -> int:
    """The answers that differ from what the version that they name predicts for their row."""
    world = stand.world
    (key,) = world.use_case.entity.key_names
    classes = world.use_case.label.classes
    columns = build_columns_from_rows(world.use_case, world.rows)
    foreign = 0
    for version in {int(answer["model_version"]) for answer in load.answers}:
        own = predict_rows(world.use_case, load_model(world.settings, world.use_case, version), columns)
        assert own.probabilities is not None
        answers = [answer for answer in load.answers if answer["model_version"] == version]
        shares = np.array([[answer["probabilities"][name] for name in classes] for answer in answers])
        rows = np.array([int(answer[key]) for answer in answers])
        is_other = np.abs(shares - own.probabilities[rows]).max(axis=1) > _TOLERANCE
        is_other |= own.predictions[rows] != np.array([answer["prediction"] for answer in answers])
        foreign += int(is_other.sum())
    return foreign


FAULT = Fault(
    "hot_swaps",
    "champions change under load: no request fails, each answer is that of the version which it names",
    swap_champions,
)
