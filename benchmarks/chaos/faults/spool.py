"""The spool's disk is full, the spool has its greatest size, and bytes of it are spoilt."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
from benchmarks.chaos.fault import Fault, Report, Size
from benchmarks.chaos.faulty_service import SERVICE, SPOOL
from benchmarks.chaos.service import Service, wait_for
from benchmarks.chaos.small_disk import build_prefix, find_obstacle
from benchmarks.chaos.stand import Stand
from benchmarks.common.timing import say

from evergreen.serving.predictions.delivery import SPOILT_FOLDER
from evergreen.serving.predictions.record import PredictionRecord
from evergreen.serving.predictions.segments import FINISHED_SUFFIX, TAKEN_SUFFIX, read_segment

_SPOOL_FOLDER = "predictions"
# What a spool of a megabyte holds is predicted within seconds; longer it is never waited for.
_FULL_SECONDS = 120.0


def fill_disk(stand: Stand, size: Size, report: Report) -> None:
    """On a file system of its own, which is full of predictions that MariaDB does not take."""
    if obstacle := find_obstacle():
        report.skipped = obstacle
        return
    folder = stand.world.settings.home / _SPOOL_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    prefix = build_prefix(folder, size.disk_mb)
    with stand.run_service("disk-full", prefix=prefix) as service:
        refuse_when_full(stand, report, service, "cannot be written")
    report.facts["disk_mb"] = size.disk_mb


def refuse_at_limit(stand: Stand, size: Size, report: Report) -> None:
    """The policy "refuse" at the declared size."""
    with stand.run_service("spool-refuses", service=SERVICE, more={SPOOL: "1:refuse"}) as service:
        refuse_when_full(stand, report, service, "has its greatest size")


def refuse_when_full(stand: Stand, report: Report, service: Service, words: str) -> None:
    """Fill the spool while MariaDB is away: then requests get a 503 in words, until MariaDB is back; the log
    of the service says in `words` what is full."""
    stand.bench.stop()
    with stand.run_load(service) as load:
        answer = wait_for_refusal(service, stand)
        time.sleep(2.0)  # the requests of these seconds are refused, or find room that was left
    error = answer.json()["error"]
    report.require("status", answer.status_code, "503", answer.status_code == 503)
    public = "the prediction log takes nothing now"
    report.require("message", error["message"], f"{public} ...", error["message"].startswith(public))
    report.require("hint", error.get("hint"), "what to do", bool(error.get("hint")))
    home = str(stand.world.settings.home)
    report.require_true("server_not_shown", home not in answer.text)
    text = service.log.read_text("utf-8", errors="replace")
    report.require_true("told_in_log", f"the spool {home}" in text and words in text)
    log = service.read_metadata()["log"]
    report.require("trouble", log["trouble"], "says that MariaDB is away", bool(log["trouble"]))
    ready = service.read_readiness().status_code
    report.require("readyz_while_full", ready, "200", ready == 200)
    report.facts["refused_requests"] = load.failed
    report.require_at_least("answered_before_full", len(load.ids), 100)
    say(f"    full after {len(load.ids):,} predictions; MariaDB comes back")
    stand.bench.start()
    service.await_drained()
    # The service measures its spool once a second.
    room = wait_for(lambda: predict(service, stand).status_code == httpx.codes.OK, "a prediction again", 30.0)
    report.facts["seconds_until_predicting_again"] = round(room, 1)
    with stand.run_load(service) as after:
        service.await_rows(100)
    report.failed += after.failed
    stand.reconcile(report, [*load.ids, *after.ids])
    service.await_drained()
    judge_counters(service, report, dropped=0)
    report.judge_counts()


def drop_at_limit(stand: Stand, size: Size, report: Report) -> None:
    """The policy "drop_oldest" at the declared size: predictions go on, and what is dropped is told."""
    with stand.run_service("spool-drops", service=SERVICE, more={SPOOL: "1:drop_oldest"}) as service:
        stand.bench.stop()
        with stand.run_load(service) as load:
            wait_for(lambda: service.read_metadata()["log"]["dropped"] > 0, "the first drop", _FULL_SECONDS)
            service.await_rows(100)
        dropped = service.read_metadata()["log"]["dropped"]
        stand.bench.start()
        service.await_drained()
        report.failed += load.failed
        stand.reconcile(report, load.ids, patience=0.0)
        judge_counters(service, report, dropped=dropped)
        told = re.findall(
            r"(\d+) predictions have been dropped", service.log.read_text("utf-8", errors="replace")
        )
        report.require("told_in_log", bool(told), "true", bool(told))
    # The policy allows the loss, and every row of it is counted.
    report.require("lost", report.lost, f"dropped ({dropped:,})", report.lost == dropped)
    if report.failed:
        report.broken.append(f"failed is {report.failed}, and must be at most 0")


def wait_for_refusal(service: Service, stand: Stand) -> httpx.Response:
    """The first answer to a prediction that is no 200."""
    answers: list[httpx.Response] = []

    def is_refused() -> bool:
        answers.append(predict(service, stand))
        return answers[-1].status_code != httpx.codes.OK

    wait_for(is_refused, "a refused prediction", _FULL_SECONDS)
    return answers[-1]


def predict(service: Service, stand: Stand) -> httpx.Response:
    """The answer to one prediction, sent once."""
    body = {"data": stand.world.rows[0]}
    return httpx.post(f"{service.url}/predict", json=body, trust_env=False, timeout=30.0)


def judge_counters(service: Service, report: Report, *, dropped: int) -> None:
    """The counters reconcile, in /metadata and /metrics."""
    log = service.read_metadata()["log"]
    whole = log["accepted"] + log["adopted"]
    parts = log["spooled"] + log["written"] + log["refused"] + log["dropped"] + log["spoilt_rows"]
    report.require("counters", f"{whole} = {parts}", "accepted + adopted = the rest", whole == parts)
    report.require("counted_as_dropped", log["dropped"], str(dropped), log["dropped"] == dropped)
    time.sleep(2.0)  # gauges are set once a second
    shown = read_gauges(service)
    names = ("accepted", "written", "dropped", "refused", "spoilt")
    same = all(shown.get(name) == log[name] for name in names)
    report.require("metrics", {name: shown.get(name) for name in names}, "as in /metadata", same)


def read_gauges(service: Service) -> dict[str, int]:
    """The gauges of the prediction log, by the ends of their names."""
    lines = re.findall(
        r"^evergreen_prediction_log_(\w+)\{[^}]*\} (\S+)$", service.read_metrics(), re.MULTILINE
    )
    return {name: int(float(value)) for name, value in lines}


def spoil_spool(stand: Stand, size: Size, report: Report) -> None:
    """Bytes are changed in what a killed service has left: a record, the end of a file, a whole file."""
    home = stand.world.settings.home / _SPOOL_FOLDER
    stand.bench.stop()
    with (
        stand.run_service("spoilt-before") as service,
        stand.run_load(service, rate=size.rate, until_gone=True) as load,
    ):
        wait_for(lambda: len(list_segments(home)) >= 4, "four segments on disk")
        service.kill_all()
    segments = list_segments(home)
    before = read_ids(segments)
    data = bytearray(segments[0].read_bytes())
    data[len(data) // 2] ^= 0xFF
    segments[0].write_bytes(data)
    segments[1].write_bytes(segments[1].read_bytes()[:-7])
    segments[2].write_bytes(b"\xff no record at all \x00" * 50)
    spoilt = (before - read_ids(segments)) & set(load.ids)
    stand.bench.start()
    with stand.run_service("spoilt-after") as service:
        stand.reconcile(report, sorted(set(load.ids) - spoilt))
        service.await_drained()
        stand.reconcile(report, sorted(spoilt), patience=0.0)
        log = service.read_metadata()["log"]
        report.require_at_least("spoilt_told", log["spoilt"], 3)
        judge_counters(service, report, dropped=0)
        aside = list((home / SPOILT_FOLDER).glob("*.bytes"))
        report.require_at_least("files_set_aside", len(aside), 3)
        told = service.log.read_text("utf-8", errors="replace").count("are no record and were set aside")
        report.require_at_least("told_in_log", told, 3)
    # What was in the changed records is gone; all around them is there.
    report.require("lost", report.lost, f"in spoilt records ({len(spoilt)})", report.lost == len(spoilt))
    report.require_at_most("doubled", report.doubled, 0)


def list_segments(home: Path) -> list[Path]:
    """The segments of all spools that no process writes to any more, the oldest first."""
    paths = [path for suffix in (FINISHED_SUFFIX, TAKEN_SUFFIX) for path in home.glob(f"*/*{suffix}")]
    return sorted(paths, key=lambda path: path.stat().st_mtime)


def read_ids(segments: Sequence[Path]) -> set[str]:
    """The ids of the predictions that can be read from segments."""
    ids: set[str] = set()
    for segment in map(read_segment, segments):
        for record in segment.records:
            if isinstance(record, PredictionRecord):
                ids.update(record.ids)
    return ids


FAULTS = (
    Fault(
        "disk_full",
        "the spool's disk is full: 503 with the reason, nothing acknowledged is lost, it drains by itself",
        fill_disk,
    ),
    Fault(
        "spool_refuses",
        'the spool has its declared size, policy "refuse": the same',
        refuse_at_limit,
    ),
    Fault(
        "spool_drops",
        'the same, policy "drop_oldest": predictions go on; each row that is dropped is counted and told',
        drop_at_limit,
    ),
    Fault(
        "spool_spoilt",
        "bytes of the spool are changed: the service starts, the records around are kept, the rest is told",
        spoil_spool,
    ),
)
