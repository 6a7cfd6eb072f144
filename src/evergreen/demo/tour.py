"""The tour of one use case, through Airflow: from nothing to a champion that replaced itself."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evergreen.demo.fresh import TourMarker
from evergreen.demo.stages import FailureContext, Stage, Tour
from evergreen.demo.traffic import Answers, send_requests
from evergreen.demo.upstream import DriftingUpstream, Upstream
from evergreen.private import write_private_file
from evergreen.registry.champion import Champion, read_champion
from evergreen.registry.ledger import read_entries
from evergreen.serving.client import ServiceClient
from evergreen.settings import Settings
from evergreen.stack.airflow_api import AirflowApi
from evergreen.stack.processes.stack_state import read_state
from evergreen.stack.servers.deployment import SERVICE_PREFIX
from evergreen.store.connection.database import get_engine
from evergreen.store.online.vectors import read_latest_rows
from evergreen.store.predictions.prediction_log import count_predictions
from evergreen.usecase import UseCase

PREDICTION_COUNT = 2_000
RUN_SECONDS = 900.0
LOG_SECONDS = 30.0


@dataclass
class TourContext:
    """What the stages share: the platform's addresses and what was counted so far."""

    settings: Settings
    use_case: UseCase
    tour: Tour
    airflow: AirflowApi
    sent: int = 0
    answered: int = 0
    promoting_since: datetime | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.settings.service_urls[self.use_case.name]

    def run_dag(self, stage: Stage, verb: str, as_of: datetime, **conf: Any) -> str:
        """Trigger a DAG, wait for its success and return its run id. Raises OrchestratorError if it fails."""
        dag_id = self.use_case.dag_id(verb)
        TourMarker.of(self.settings, self.use_case).note(as_of)
        run_id = self.airflow.trigger(dag_id, conf={"as_of": as_of.isoformat(), **conf})
        return self.wait_for(stage, verb, run_id, as_of)

    def wait_for(self, stage: Stage, verb: str, run_id: str, as_of: datetime | None) -> str:
        """Wait for a run's success. Where it fails, the same step here and now says why."""
        dag_id, name = self.use_case.dag_id(verb), self.use_case.name
        again = f"run {verb} {name}" + (f" --as-of {as_of.isoformat()}" if as_of else "")
        stage.trace = FailureContext(
            words=lambda: self.airflow.task_error(dag_id, run_id),
            command=f"evergreen ingest-runs {name}" if verb == "ingest" else f"evergreen {again}",
            address=self.airflow.run_url(dag_id, run_id),
        )

        def show(states: Mapping[str, str | None]) -> None:
            done = [task for task, state in states.items() if state in ("success", "skipped")]
            busy = [task for task, state in states.items() if state == "running"]
            stage.say(f"{dag_id}: {len(done)} of {len(states)} tasks done {' '.join(busy)}")

        self.airflow.wait(dag_id, run_id, timeout=RUN_SECONDS, on_progress=show)
        return run_id

    def asset_run(
        self, stage: Stage, verb: str, after: datetime | None, as_of: datetime | None = None
    ) -> str:
        """Wait for the run that an asset started after that moment, and for its success. `as_of` is what the
        asset's event tells the run to work as of, if it does."""
        dag_id = self.use_case.dag_id(verb)
        stage.say(f"waiting for Airflow to start {dag_id}")
        run_id = self.airflow.wait_for_asset_run(dag_id, after=after, timeout=120)
        return self.wait_for(stage, verb, run_id, as_of)

    def xcom(self, verb: str, run_id: str, task_id: str) -> dict[str, Any]:
        value = self.airflow.xcom(self.use_case.dag_id(verb), run_id, task_id)
        assert isinstance(value, dict)
        return value

    def predict(self, stage: Stage, rows: Sequence[Mapping[str, Any]]) -> Answers:
        """Send rows one by one, count them, and wait until all of them are in the prediction log."""
        stage.trace = self.service_trace()
        answers = send_requests(self.url, rows, stage.say)
        self.sent += answers.sent
        self.answered += answers.answered
        wanted = {len(rows), len({answer["prediction_id"] for answer in answers.answers})}
        stage.verify(wanted == {answers.answered}, "one answer, with an id of its own, for every request")
        # The log is written off the request path: give it a moment, then insist.
        deadline = time.monotonic() + LOG_SECONDS
        while self.logged() < self.sent and time.monotonic() < deadline:
            time.sleep(0.2)
        stage.verify(
            self.logged() == self.sent, f"{self.sent} rows in the prediction log, not {self.logged()}"
        )
        return answers

    def service_trace(self) -> FailureContext:
        """Where the reason is to be found when the service does not do what it should."""
        process = f"{SERVICE_PREFIX}{self.use_case.name}"
        return FailureContext(
            lambda: _describe_trouble(self.settings.home, process), "evergreen status", self.url
        )

    def judged(self, stage: Stage, run_id: str) -> dict[str, Any]:
        """What became of a training run's candidate at the gate: {"version", "passed", "summary", "card"}."""
        found = self.xcom("train", run_id, "register")
        stage.trace = FailureContext(
            words=f"v{found['version']} {found['summary']}",
            command=f"evergreen gate explain {self.use_case.name} {found['version']}",
            address=found.get("card") or stage.trace.address,
        )
        return found

    def logged(self) -> int:
        counts = count_predictions(get_engine(self.settings), self.use_case)
        return counts.by_channel.get("online", 0)

    def champion(self, stage: Stage) -> Champion:
        found = read_champion(self.settings, self.use_case.name)
        stage.verify(found is not None, "a champion in the registry")
        assert found is not None
        promoted = [
            e for e in read_entries(get_engine(self.settings), self.use_case.name) if e.action == "promote"
        ]
        stage.verify(
            any(e.to_version == found.version for e in promoted),
            "the promotion of the champion in the ledger",
        )
        return found


def run_tour(settings: Settings, use_case: UseCase, tour: Tour, upstream: Upstream) -> dict[str, Any]:
    """Run every stage and return what `.evergreen/demo.json` holds.

    Raises StageNotVerified or the failing part's own error; the stages so far stay in `tour`.
    """
    guide = TourContext(settings, use_case, tour, AirflowApi(settings))
    past = upstream.first_as_of()
    # Before anything is made: the next tour must know that this one made it, even if it is killed here.
    TourMarker.of(settings, use_case).note(past)
    _ingest_history(guide, upstream, past)
    first = _train_first(guide, past)
    _verify_served(guide, first, started=None)
    with tour.stage(f"{PREDICTION_COUNT:,} predictions as usual") as stage:
        usual = upstream.usual_rows(PREDICTION_COUNT)
        answers = guide.predict(stage, usual)
        stage.verify(answers.versions == {first.version}, f"every answer from v{first.version}")
        stage.happened = f"{answers.answered:,} answered by v{first.version}, all in the prediction log"
    _monitor_quiet(guide)
    last = first
    if isinstance(upstream, DriftingUpstream):
        last = _drift_and_recover(guide, upstream, first)
    return _verify_counts(guide, last)


def _ingest_history(guide: TourContext, upstream: Upstream, past: datetime) -> None:
    with guide.tour.stage("upstream data") as stage:
        stage.happened = upstream.prepare(stage.say)
    with guide.tour.stage("history into the store") as stage:
        run_id = guide.run_dag(stage, "ingest", past, **upstream.ingest_conf)
        loaded = guide.xcom("ingest", run_id, "load")
        stage.verify(loaded["rows_loaded"] > 0, "rows in the feature store")
        stage.happened = f"{loaded['rows_loaded']:,} rows validated and loaded, as of {past:%Y-%m-%d}"


def _train_first(guide: TourContext, past: datetime) -> Champion:
    with guide.tour.stage("train") as stage:
        guide.promoting_since = datetime.now(UTC)
        run_id = guide.run_dag(stage, "train", past, reason="first model")
        judged = guide.judged(stage, run_id)
        stage.verify(bool(judged["passed"]), "a candidate that passes the gate")
        found = guide.champion(stage)
        stage.verify(found.version == judged["version"], f"v{judged['version']} as champion")
        stage.happened = f"champion v{found.version}: {judged['summary']}"
    return found


def _verify_served(guide: TourContext, wanted: Champion, started: str | None) -> str:
    """The asset-triggered deploy run succeeded and the service answers with that version.

    `started` is when the service process started, if it must be the very same process. Returns that time.
    """
    with guide.tour.stage(f"v{wanted.version} goes live") as stage:
        guide.asset_run(stage, "deploy", after=guide.promoting_since)
        stage.trace = guide.service_trace()
        with ServiceClient(guide.url) as client:
            served = client.metadata()
        stage.verify(served["model_version"] == wanted.version, f"the service on v{wanted.version}")
        same = started is None or served["started_at"] == started
        stage.verify(same, "the same service process, without a restart")
        how = "" if started is None else ", swapped in by the running service"
        stage.happened = f"{guide.url} serves v{wanted.version}{how}; canary passed"
    return str(served["started_at"])


def _monitor_quiet(guide: TourContext) -> None:
    with guide.tour.stage("monitor") as stage:
        run_id = guide.run_dag(stage, "monitor", datetime.now(UTC))
        decision = guide.xcom("monitor", run_id, "governor")
        stage.trace.words = f"monitor: {decision['reason']}"
        stage.verify(decision["retrain"] is False, "no retraining while nothing drifts")
        stage.happened = decision["reason"]


def _drift_and_recover(guide: TourContext, upstream: DriftingUpstream, first: Champion) -> Champion:
    with ServiceClient(guide.url) as client:
        process_started = str(client.metadata()["started_at"])
    with guide.tour.stage("the recession begins") as stage:
        stage.happened = upstream.drift(stage.say)
    rows, labels = upstream.drifted_rows(PREDICTION_COUNT)
    with guide.tour.stage(f"{PREDICTION_COUNT:,} predictions in recession") as stage:
        answers = guide.predict(stage, rows)
        guide.facts["v1_accuracy_after_drift"] = round(answers.accuracy(labels), 4)
        stage.happened = (
            f"{answers.answered:,} answered by v{first.version}, accuracy {answers.accuracy(labels):.3f}"
        )
    now = datetime.now(UTC)
    with guide.tour.stage("fresh data into the store") as stage:
        loaded = guide.xcom("ingest", guide.run_dag(stage, "ingest", now), "load")
        stage.verify(loaded["rows_loaded"] > 0, "new rows in the feature store")
        stage.happened = f"{loaded['rows_loaded']:,} new rows"
    asked = datetime.now(UTC)
    with guide.tour.stage("monitor finds drift") as stage:
        run_id = guide.run_dag(stage, "monitor", asked)
        decision = guide.xcom("monitor", run_id, "governor")
        stage.trace.words = f"monitor: {decision['reason']}"
        stage.verify(decision["retrain"] is True, "a decision to retrain")
        stage.happened = decision["reason"]
    guide.promoting_since = asked
    second = _retrain(guide, first, asked)
    _verify_served(guide, second, started=process_started)
    with guide.tour.stage("the same requests again") as stage:
        answers = guide.predict(stage, rows)
        stage.verify(answers.versions == {second.version}, f"every answer from v{second.version}")
        after = answers.accuracy(labels)
        guide.facts["v2_accuracy_after_drift"] = round(after, 4)
        before = guide.facts["v1_accuracy_after_drift"]
        stage.verify(after > before, "better answers than before")
        stage.happened = f"accuracy {after:.3f} instead of {before:.3f}, on customers nobody trained on"
    return second


def _retrain(guide: TourContext, first: Champion, asked: datetime) -> Champion:
    with guide.tour.stage("retrain") as stage:
        run_id = guide.asset_run(stage, "train", after=asked, as_of=asked)
        judged = guide.judged(stage, run_id)
        second = guide.champion(stage)
        stage.verify(second.version > first.version, "a new champion that passed the gate")
        stage.happened = f"champion v{second.version}: {judged['summary']}"
    return second


def _verify_counts(guide: TourContext, last: Champion) -> dict[str, Any]:
    with guide.tour.stage("counts reconcile") as stage:
        logged = guide.logged()
        stage.verify(guide.sent == guide.answered == logged, "sent = answered = logged")
        stage.happened = f"sent {guide.sent:,} = answered {guide.answered:,} = logged {logged:,}"
    newest = read_latest_rows(get_engine(guide.settings), guide.use_case).iloc[0]
    return {
        "use_case": guide.use_case.name,
        "service": guide.url,
        "example_key": {k.name: _to_plain_value(newest[k.name], k.dtype) for k in guide.use_case.entity.keys},
        **{name: value for name, value in guide.facts.items() if name.endswith("_after_drift")},
        "sent": guide.sent,
        "answered": guide.answered,
        "logged": logged,
        "champion_version": last.version,
    }


def _describe_trouble(home: Path, process: str) -> str:
    """What is wrong with a server of the embedded stack, if anything, and where its log is."""
    state = read_state(home)
    for each in state.processes if state else ():
        if each.name == process and each.state != "ready":
            why = ": ".join(filter(None, (each.state, each.detail or each.last_exit)))
            return f"{process} is {why}" + (f" (log: {each.log})" if each.log else "")
    return ""


def _to_plain_value(value: Any, dtype: str) -> int | str:
    return int(value) if dtype == "int" else str(value)


def write_report(path: Path, tour: Tour, outcome: Mapping[str, Any], *, verified: bool) -> None:
    """Write `demo.json`: the stages with their seconds, the outcome, and whether every stage was verified."""
    report = {
        **outcome,
        "verified": verified,
        "stages": tour.as_json(),
        "total_seconds": round(tour.total_seconds, 1),
    }
    write_private_file(path, json.dumps(report, indent=2) + "\n")
