"""`evergreen demo`: start the stack, take the tour of a use case, show its stages and write the report."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path

from rich.console import Console

from evergreen.demo.fresh import reset_demo
from evergreen.demo.report import DemoReport, TourOutcome, write_report
from evergreen.demo.service import (
    find_outdated_service,
    format_example_request,
    refuse_outdated_service,
    restart_outdated_service,
)
from evergreen.demo.stages import Tour
from evergreen.demo.timeline import Timeline
from evergreen.demo.tour import run_tour, wait_for_ingests
from evergreen.demo.upstream import build_upstream, check_source, is_simulated
from evergreen.errors import AnotherDemo
from evergreen.loop.demo_lock import hold_demo_lock
from evergreen.private import make_private_folder
from evergreen.settings import load_settings
from evergreen.stack import lifecycle
from evergreen.stack.airflow_api import AirflowApi
from evergreen.stack.status import read_stack_status
from evergreen.stack.status_view import render_urls
from evergreen.usecases import load_use_case
from evergreen.waiting import wait_until

ADDRESS_SECONDS = 30.0


def run_demo(
    home: Path,
    name: str,
    file: str,
    *,
    console: Console,
    now: datetime,
    bring_up: bool = True,
    erase: bool = False,
) -> DemoReport:
    """Take the tour of the use case `name`, write its report to `demo.json` in `home`, and return it.

    `file` replaces the declared source of a use case that reads a file. Without `bring_up` the platform that
    the settings name is used as it is, such as the one in containers. `erase` erases everything of the use
    case first, also what no demo made. Simulated moments are counted back from `now` (aware). Raises the
    first failing stage's error, after the stages so far and the report with `"verified": false` were written;
    AnotherDemo, without a report, while another demo of the use case is under way.
    """
    use_case = load_use_case(name, load_settings(home))
    # Errors that make the demo impossible are raised before anything is started or erased.
    check_source(load_settings(home), use_case, file)
    if not bring_up:
        refuse_outdated_service(load_settings(home), use_case)
    tour = Tour(console)
    timeline = Timeline.until(now)
    outcome: TourOutcome = {"use_case": name}
    if is_simulated(load_settings(home), use_case):
        outcome["simulated"] = timeline.to_json()
        console.print(f"{name} {timeline.description}", highlight=False, soft_wrap=True)
    verified = refused = False
    report_path = home / "demo.json"
    try:
        with tour.running(), ExitStack() as exit_stack:
            if bring_up:
                with tour.stage("the stack comes up") as stage:
                    stage.trace.command = "evergreen status"
                    stack_status = lifecycle.start_stack(home, progress=stage.say)
                    stage.verify(stack_status.is_running, "every server running")
                    # A use case that was declared while the stack ran gets its address a little later.
                    stage.verify(_wait_for_address(home, name), f"an address for the service of {name}")
                    stage.happened = f"{len(stack_status.processes)} servers running, healthy"
            settings = load_settings(home)
            with tour.stage("a clean start") as stage:
                exit_stack.enter_context(hold_demo_lock(settings, name))
                airflow = AirflowApi(settings)
                wait_for_ingests(airflow, use_case, stage)
                source = build_upstream(settings, use_case, file, timeline)
                list_moments = partial(airflow.list_scheduled_moments, use_case.dag_id("ingest"))
                stage.happened = reset_demo(settings, use_case, source, list_moments, erase=erase)
            if bring_up and (status := find_outdated_service(settings, use_case)):
                with tour.stage("the service takes up the declaration") as stage:
                    restart_outdated_service(home, status, stage)
            outcome = {**outcome, **run_tour(settings, use_case, tour, source)}
            verified = True
    except AnotherDemo:
        refused = True  # demo.json is the other demo's
        raise
    except KeyboardInterrupt:
        console.print("Interrupted. What Airflow has begun goes on, and the stack stays up: evergreen down")
        raise
    finally:
        if not refused:
            make_private_folder(home)
            report = write_report(report_path, tour, outcome, verified=verified)
    console.print()
    if not console.is_terminal:
        console.print(tour.table())
    console.print(_format_outcome(outcome))
    _show_check_report(console, outcome)
    if bring_up:
        console.print(render_urls(load_settings(home), read_stack_status(home)))
        console.print("The stack stays up: `evergreen status` shows it, `evergreen down` ends it.")
    example = format_example_request(load_settings(home), outcome["service"], outcome["example_key"])
    console.print(f"Try it: {example}", soft_wrap=True, highlight=False, markup=False)
    console.print(f"Every stage verified in {tour.total_seconds:.0f} s. Report: {report_path}")
    return report


def _wait_for_address(home: Path, name: str) -> bool:
    """Wait until the settings name an address for the service of a use case; False if that takes too long."""
    return wait_until(lambda: name in load_settings(home).service_urls, ADDRESS_SECONDS)


def _format_outcome(outcome: TourOutcome) -> str:
    counts = f"sent {outcome['sent']:,} = answered {outcome['answered']:,} = logged {outcome['logged']:,}"
    if "v2_accuracy_after_drift" not in outcome:
        return f"\nPredictions: {counts}"
    before, after = outcome["v1_accuracy_after_drift"], outcome["v2_accuracy_after_drift"]
    return f"\nAccuracy on the drifted period: v1 {before:.3f}, v2 {after:.3f}. Predictions: {counts}"


def _show_check_report(console: Console, outcome: TourOutcome) -> None:
    """Print where the report of the check that found the drift is, on one line: an address that is wrapped
    leads nowhere."""
    if "check_report" in outcome:
        text = f"The check that found the drift: {outcome['check_report']}"
        console.print(text, soft_wrap=True, highlight=False, markup=False)
