"""The tour of one use case through Airflow: from an empty store to a champion that drift has replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from evergreen.demo.fresh import TourMarker
from evergreen.demo.report import TourOutcome
from evergreen.demo.service import describe_trouble
from evergreen.demo.stages import FailureContext, Stage, Tour
from evergreen.demo.traffic import Answers, FeatureRow, send_requests
from evergreen.demo.upstream import DriftingUpstream, Upstream
from evergreen.loop.ingest_results import LoadResult
from evergreen.loop.monitor import DecisionResult
from evergreen.loop.monitoring.check_report import ReportResult
from evergreen.loop.train_results import RegisteredVersion
from evergreen.monitoring.evidence.wording import describe_inputs
from evergreen.monitoring.governor.inputs import GovernorInputs
from evergreen.registry.champion import Champion, read_champion
from evergreen.registry.ledger import read_entries
from evergreen.serving.calls.client import open_own_client
from evergreen.settings import Settings
from evergreen.stack.airflow_api import AirflowApi
from evergreen.stack.deploy.facts import SERVICE_PREFIX
from evergreen.store.connection.database import get_engine
from evergreen.store.online.vectors import read_latest_rows
from evergreen.store.predictions.prediction_log import count_predictions
from evergreen.store.records.checks.decision import get_decision
from evergreen.usecase import UseCase
from evergreen.waiting import wait_until

# Requests in each of the stages that predict.
PREDICTION_COUNT = 2_000
# How long to wait for a DAG run, and for the last rows of the prediction log.
RUN_SECONDS = 900.0
LOG_SECONDS = 30.0
DAG_SECONDS = 120.0


@dataclass
class TourContext:
    """What the stages share: the use case, the parts of the platform, and the counts so far.

    `promoting_since`: the moment (aware) after which the run that promotes a champion was started.
    `accuracy_after_drift`: the accuracy of each model version ("v1", "v2") on requests after the drift.
    `check_report` and `governor_inputs`: as in `TourOutcome`, "" before the drift was found.
    """

    settings: Settings
    use_case: UseCase
    tour: Tour
    airflow: AirflowApi
    sent: int = 0
    answered: int = 0
    promoting_since: datetime | None = None
    accuracy_after_drift: dict[str, float] = field(default_factory=dict)
    check_report: str = ""
    governor_inputs: str = ""

    @property
    def url(self) -> str:
        """The address of the use case's service."""
        return self.settings.service_urls[self.use_case.name]

    def run_dag(self, stage: Stage, verb: str, as_of: datetime, **conf: str) -> str:
        """Trigger a DAG, wait for its success and return its run id. Raises OrchestratorError if it fails."""
        dag_id = self.use_case.dag_id(verb)
        TourMarker.of(self.settings, self.use_case).note(as_of)
        run_id = self.airflow.trigger(dag_id, conf={"as_of": as_of.isoformat(), **conf})
        return self.wait_for(stage, verb, run_id, as_of)

    def wait_for(self, stage: Stage, verb: str, run_id: str, as_of: datetime | None) -> str:
        """Wait for a run's success and return its id. The stage's trace names the command that runs the verb
        again.

        Raises OrchestratorError if the run fails.
        """
        dag_id, name = self.use_case.dag_id(verb), self.use_case.name
        command = f"run {verb} {name}" + (f" --as-of {as_of.isoformat()}" if as_of else "")
        stage.trace = FailureContext(
            words=lambda: self.airflow.task_error(dag_id, run_id),
            command=f"evergreen ingest-runs {name}" if verb == "ingest" else f"evergreen {command}",
            address=self.airflow.run_url(dag_id, run_id),
        )

        def show_tasks(states: Mapping[str, str | None]) -> None:
            finished_tasks = [task for task, state in states.items() if state in ("success", "skipped")]
            running_tasks = [task for task, state in states.items() if state == "running"]
            stage.say(
                f"{dag_id}: {len(finished_tasks)} of {len(states)} tasks done {' '.join(running_tasks)}"
            )

        self.airflow.wait(dag_id, run_id, timeout=RUN_SECONDS, on_progress=show_tasks)
        return run_id

    def asset_run(
        self, stage: Stage, verb: str, after: datetime | None, as_of: datetime | None = None
    ) -> str:
        """Wait for the run that an asset started after a moment, and for its success; return its id.

        `as_of`: the moment that the asset's event carries, as of which the run works; None where it carries
        none.
        """
        dag_id = self.use_case.dag_id(verb)
        stage.say(f"waiting for Airflow to start {dag_id}")
        run_id = self.airflow.wait_for_asset_run(dag_id, after=after, timeout=120)
        return self.wait_for(stage, verb, run_id, as_of)

    def xcom(self, verb: str, run_id: str, task_id: str) -> Any:
        """What a task returned: a JSON object."""
        value = self.airflow.xcom(self.use_case.dag_id(verb), run_id, task_id)
        assert isinstance(value, dict)
        return value

    def predict(self, stage: Stage, rows: Sequence[FeatureRow]) -> Answers:
        """Send a request for each row, count the answers, and wait until all of them are in the prediction
        log."""
        stage.trace = self.service_trace()
        answers = send_requests(self.settings, self.url, rows, stage.say)
        self.sent += answers.sent
        self.answered += answers.answered
        counts = {len(rows), len({answer.prediction_id for answer in answers.answers})}
        stage.verify(counts == {answers.answered}, "one answer, with an id of its own, for every request")
        # The service writes the log in the background, so the last rows arrive a little later.
        wait_until(lambda: self.count_logged() >= self.sent, LOG_SECONDS)
        stage.verify(
            self.count_logged() == self.sent,
            f"{self.sent} rows in the prediction log, not {self.count_logged()}",
        )
        return answers

    def service_trace(self) -> FailureContext:
        """Where to find the reason when the service does not do what a stage expects of it."""
        process = f"{SERVICE_PREFIX}{self.use_case.name}"
        return FailureContext(
            lambda: describe_trouble(self.settings.home, process), "evergreen status", self.url
        )

    def read_candidate(self, stage: Stage, run_id: str) -> RegisteredVersion:
        """The candidate of a training run; its verdict becomes the stage's trace."""
        candidate: RegisteredVersion = self.xcom("train", run_id, "register")
        stage.trace = FailureContext(
            words=f"v{candidate['version']} {candidate['summary']}",
            command=f"evergreen gate explain {self.use_case.name} {candidate['version']}",
            address=candidate.get("card") or stage.trace.address,
        )
        return candidate

    def count_logged(self) -> int:
        """How many online answers the prediction log has."""
        counts = count_predictions(get_engine(self.settings), self.use_case)
        return counts.by_channel.get("online", 0)

    def champion(self, stage: Stage) -> Champion:
        """The champion; verifies that there is one and that the ledger has its promotion."""
        champion = read_champion(self.settings, self.use_case.name)
        stage.verify(champion is not None, "a champion in the registry")
        assert champion is not None
        entries = read_entries(get_engine(self.settings), self.use_case.name)
        stage.verify(
            any(entry.action == "promote" and entry.to_version == champion.version for entry in entries),
            "the promotion of the champion in the ledger",
        )
        return champion


def wait_for_ingests(airflow: AirflowApi, use_case: UseCase, stage: Stage) -> None:
    """Wait until no ingest of the use case is running: one that the schedule began a moment before would load
    rows as of the present while the tour erases and fills the tables. StageNotVerified if it does not end."""
    dag_id = use_case.dag_id("ingest")
    airflow.wait_for_dag(dag_id, timeout=DAG_SECONDS)

    def is_idle() -> bool:
        """Whether Airflow runs no ingest."""
        running = [run.run_id for run in airflow.runs(dag_id) if run.state == "running"]
        if running:
            stage.say(f"waiting for {running[0]} of {dag_id}")
        return not running

    stage.verify(wait_until(is_idle, RUN_SECONDS), f"no run of {dag_id} under way in Airflow")


def run_tour(settings: Settings, use_case: UseCase, tour: Tour, upstream: Upstream) -> TourOutcome:
    """Run every stage and return the outcome.

    Raises StageNotVerified or the failing part's own error; `tour` keeps the stages so far.
    """
    guide = TourContext(settings, use_case, tour, AirflowApi(settings))
    past = upstream.first_as_of()
    # Noted before anything is written, so that the next tour may erase it even if this one is killed.
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
        outcome: LoadResult = guide.xcom("ingest", run_id, "load")
        stage.verify(outcome["rows_loaded"] > 0, "rows in the feature store")
        stage.happened = f"{outcome['rows_loaded']:,} rows validated and loaded, as of {past:%Y-%m-%d}"


def _train_first(guide: TourContext, past: datetime) -> Champion:
    with guide.tour.stage("train") as stage:
        guide.promoting_since = datetime.now(UTC)
        run_id = guide.run_dag(stage, "train", past, reason="first model")
        candidate = guide.read_candidate(stage, run_id)
        stage.verify(bool(candidate["passed"]), "a candidate that passes the gate")
        champion = guide.champion(stage)
        stage.verify(champion.version == candidate["version"], f"v{candidate['version']} as champion")
        stage.happened = f"champion v{champion.version}: {candidate['summary']}"
    return champion


def _verify_served(guide: TourContext, champion: Champion, started: str | None) -> None:
    """Verify that the deploy run which the promotion started succeeds, and that the service answers with that
    champion.

    `started`: when the service process started, if it must still be the same one.
    """
    with guide.tour.stage(f"v{champion.version} goes live") as stage:
        guide.asset_run(stage, "deploy", after=guide.promoting_since)
        stage.trace = guide.service_trace()
        with open_own_client(guide.settings, guide.url) as client:
            metadata = client.metadata()
        stage.verify(metadata["model_version"] == champion.version, f"the service on v{champion.version}")
        same_process = started is None or metadata["started_at"] == started
        stage.verify(same_process, "the same service process, without a restart")
        how = "" if started is None else ", swapped in by the running service"
        stage.happened = f"{guide.url} serves v{champion.version}{how}; probe passed"


def _monitor_quiet(guide: TourContext) -> None:
    with guide.tour.stage("monitor") as stage:
        run_id = guide.run_dag(stage, "monitor", datetime.now(UTC))
        decision: DecisionResult = guide.xcom("monitor", run_id, "governor")
        stage.trace.words = f"monitor: {decision['reason']}"
        stage.verify(decision["retrain"] is False, "no retraining while nothing drifts")
        stage.happened = decision["reason"]


def _drift_and_recover(guide: TourContext, upstream: DriftingUpstream, first: Champion) -> Champion:
    with open_own_client(guide.settings, guide.url) as client:
        process_started = str(client.metadata()["started_at"])
    with guide.tour.stage("the recession begins") as stage:
        stage.happened = upstream.drift(stage.say)
    rows, labels = upstream.drifted_rows(PREDICTION_COUNT)
    with guide.tour.stage(f"{PREDICTION_COUNT:,} predictions in recession") as stage:
        answers = guide.predict(stage, rows)
        guide.accuracy_after_drift["v1"] = round(answers.accuracy(labels), 4)
        stage.happened = (
            f"{answers.answered:,} answered by v{first.version}, accuracy {answers.accuracy(labels):.3f}"
        )
    now = datetime.now(UTC)
    with guide.tour.stage("fresh data into the store") as stage:
        outcome: LoadResult = guide.xcom("ingest", guide.run_dag(stage, "ingest", now), "load")
        stage.verify(outcome["rows_loaded"] > 0, "new rows in the feature store")
        stage.happened = f"{outcome['rows_loaded']:,} new rows"
    monitored_at = datetime.now(UTC)
    _monitor_drift(guide, monitored_at)
    guide.promoting_since = monitored_at
    second = _retrain(guide, first, as_of=monitored_at)
    _verify_served(guide, second, started=process_started)
    with guide.tour.stage("the same requests again") as stage:
        answers = guide.predict(stage, rows)
        stage.verify(answers.versions == {second.version}, f"every answer from v{second.version}")
        after = answers.accuracy(labels)
        guide.accuracy_after_drift["v2"] = round(after, 4)
        before = guide.accuracy_after_drift["v1"]
        stage.verify(after > before, "better answers than before")
        stage.happened = f"accuracy {after:.3f} instead of {before:.3f}, on customers nobody trained on"
    return second


def _monitor_drift(guide: TourContext, as_of: datetime) -> None:
    """Verify that a check of that moment decides to retrain; keep what it knew, and where its report is."""
    with guide.tour.stage("monitor finds drift") as stage:
        run_id = guide.run_dag(stage, "monitor", as_of)
        decision: DecisionResult = guide.xcom("monitor", run_id, "governor")
        stage.trace.words = f"monitor: {decision['reason']}"
        stage.verify(decision["retrain"] is True, "a decision to retrain")
        report: ReportResult = guide.xcom("monitor", run_id, "report")
        guide.check_report = report["address"] or report["command"]
        guide.governor_inputs = _describe_known(guide, decision)
        stage.happened = f"{decision['reason']}; known: {guide.governor_inputs}; report: {guide.check_report}"


def _describe_known(guide: TourContext, decision: DecisionResult) -> str:
    """What the governor knew when it decided, in words."""
    record = get_decision(get_engine(guide.settings), decision["decision"])
    assert record is not None
    return describe_inputs(GovernorInputs.from_json(record.inputs or {}))


def _retrain(guide: TourContext, first: Champion, as_of: datetime) -> Champion:
    """Wait for the training that the monitor of that moment started; return the new champion."""
    with guide.tour.stage("retrain") as stage:
        run_id = guide.asset_run(stage, "train", after=as_of, as_of=as_of)
        candidate = guide.read_candidate(stage, run_id)
        second = guide.champion(stage)
        stage.verify(second.version > first.version, "a new champion that passed the gate")
        stage.happened = f"champion v{second.version}: {candidate['summary']}"
    return second


def _verify_counts(guide: TourContext, last: Champion) -> TourOutcome:
    """Verify that every request was answered and logged; return the tour's outcome."""
    with guide.tour.stage("counts reconcile") as stage:
        log_count = guide.count_logged()
        stage.verify(guide.sent == guide.answered == log_count, "sent = answered = logged")
        stage.happened = f"sent {guide.sent:,} = answered {guide.answered:,} = logged {log_count:,}"
    newest = read_latest_rows(get_engine(guide.settings), guide.use_case).iloc[0]
    keys = guide.use_case.entity.keys
    outcome = TourOutcome(
        use_case=guide.use_case.name,
        service=guide.url,
        example_key={key.name: _to_plain_value(newest[key.name], key.dtype) for key in keys},
    )
    if guide.accuracy_after_drift:
        outcome["v1_accuracy_after_drift"] = guide.accuracy_after_drift["v1"]
        outcome["v2_accuracy_after_drift"] = guide.accuracy_after_drift["v2"]
        outcome["check_report"] = guide.check_report
        outcome["governor_inputs"] = guide.governor_inputs
    outcome["sent"] = guide.sent
    outcome["answered"] = guide.answered
    outcome["logged"] = log_count
    outcome["champion_version"] = last.version
    return outcome


def _to_plain_value(value: Any, dtype: str) -> int | str:
    return int(value) if dtype == "int" else str(value)
