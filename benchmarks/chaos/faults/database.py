"""MariaDB away, killed, or kept by another session, under load."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

from benchmarks.chaos.fault import Fault, Report, Size
from benchmarks.chaos.service import Service, wait_for
from benchmarks.chaos.stand import Stand
from benchmarks.common.timing import say
from benchmarks.serving.log_check import PredictionTable

from evergreen.errors import EvergreenError
from evergreen.store.connection.database import get_engine
from evergreen.store.tables.partitions import maintain_partitions


def take_database_away(stand: Stand, size: Size, report: Report) -> None:
    """Stopped for `outage_seconds`, and before that hung (SIGSTOP) for half of them; then killed."""
    bench, away = stand.bench, size.outage_seconds
    with stand.run_service("database-away") as service:
        with stand.run_load(service, rate=size.rate) as load:
            say("    MariaDB hangs (SIGSTOP)")
            with bench.held_up():
                time.sleep(away / 2)
            time.sleep(size.pause)
            say("    MariaDB is stopped")
            bench.stop()
            stopped = time.monotonic()
            report.require_true("trouble_told", _await_trouble(service, away))
            time.sleep(max(0.0, away - (time.monotonic() - stopped)))
            bench.start()
            time.sleep(size.pause)
            say("    MariaDB is killed (SIGKILL)")
            bench.kill()
            time.sleep(size.pause)
            bench.start()
            time.sleep(size.pause)
        report.failed += load.failed
        stand.reconcile(report, load.ids)
        service.await_drained()
        log = service.read_metadata()["log"]
        report.require("trouble_after", log["trouble"], "empty", not log["trouble"])
    report.facts |= {"away_seconds": size.outage_seconds}
    report.judge_counts()


def _await_trouble(service: Service, seconds: float) -> bool:
    try:
        wait_for(lambda: service.read_metadata()["log"]["trouble"] != "", "a trouble", seconds + 15.0)
    except TimeoutError:
        return False
    return True


def lock_table(stand: Stand, size: Size, report: Report) -> None:
    """A reader's open transaction while the upkeep changes partitions; then a LOCK TABLES, and SIGTERM."""
    table = PredictionTable(stand.world)
    name = stand.world.use_case.prediction_table
    with stand.run_service("table-locked") as service:
        with stand.run_load(service, rate=size.rate, until_gone=True) as load:
            say("    a reader keeps the prediction table, and the upkeep wants to change it")
            began = time.time()
            with hold(stand, "START TRANSACTION", f"SELECT COUNT(*) FROM {name}"):  # noqa: S608
                upkeep = Upkeep(stand, 1)
                time.sleep(size.lock_seconds)
                arrived = table.count_since(began)
                report.require_true("upkeep_waited_for_reader", upkeep.is_alive())
            upkeep.join()
            # Rows go on arriving: the change does not stand before them while it waits.
            report.require_at_least("arrived_beside_reader", arrived, size.rate * size.lock_seconds * 0.25)
            report.require("upkeep", upkeep.outcome, "done", upkeep.outcome == "done")
            say("    a session locks the prediction table, and the service is stopped")
            with hold(stand, f"LOCK TABLES {name} WRITE"):
                upkeep = Upkeep(stand, 2)
                time.sleep(size.lock_seconds)
                began = time.monotonic()
                service.ask_to_end()
                if size.thorough:
                    service.await_end()
                else:
                    time.sleep(size.pause)
            service.await_end()
            report.require_at_most("end_seconds", round(time.monotonic() - began, 1), 30.0)
            upkeep.join()
        report.facts["unread_at_end"] = load.figures.unread if load.figures else 0
        report.failed += load.failed - report.facts["unread_at_end"]
    if size.thorough:
        with stand.run_service("after") as service:
            stand.reconcile(report, load.ids)
            service.await_drained()
    else:
        stand.reconcile(report, load.ids)
    report.facts |= {"locked_seconds": 2 * size.lock_seconds}
    report.judge_counts()


@contextmanager
def hold(stand: Stand, *statements: str) -> Iterator[None]:
    """A session that has run these statements in the store, and keeps what they lock meanwhile."""
    with closing(stand.bench.connect()) as connection:
        cursor = connection.cursor()
        cursor.execute(f"USE {stand.world.settings.mariadb_database}")
        for statement in statements:
            cursor.execute(statement)
        yield


class Upkeep(threading.Thread):
    """The monitor's upkeep of the partitions, as of some days from now, so that there is something to do.

    `outcome` is "done" or the error's message, once it has ended.
    """

    def __init__(self, stand: Stand, days: int) -> None:
        super().__init__(name="upkeep")
        self._stand = stand
        self._moment = datetime.now(UTC) + timedelta(days=days)
        self.outcome = ""
        self.start()

    def run(self) -> None:
        world = self._stand.world
        try:
            maintain_partitions(get_engine(world.settings), world.use_case, self._moment)
        except EvergreenError as error:
            self.outcome = error.message
        else:
            self.outcome = "done"


AWAY = Fault(
    "mariadb_away",
    "MariaDB hangs, is stopped, is killed: no prediction fails, none is lost or doubled",
    take_database_away,
)
LOCKED = Fault(
    "table_locked",
    "the prediction table is kept by a session while partitions change, then SIGTERM: the same",
    lock_table,
)
