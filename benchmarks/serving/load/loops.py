"""The two ways to put load on a server: a closed loop, and an open one at an absolute rate."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter

from benchmarks.serving.load.answers import Answer
from benchmarks.serving.load.connections import OK, Connections
from benchmarks.serving.load.figures import Figures, Schedule
from benchmarks.serving.load.plan import Plan

# How long the answers that are outstanding at the end of a round may take.
_DRAIN_SECONDS = 60.0
# epoll waits in whole milliseconds; a shorter wait for the next moment of a schedule sleeps in between.
_SHORTEST_SLEEP, _POLL_STEP = 20e-6, 1e-3


@dataclass
class Ending:
    """Whether somebody has asked for the round to end."""

    is_asked: bool = False

    def ask(self) -> None:
        self.is_asked = True


@dataclass(frozen=True)
class Round:
    """The figures, and the bodies of every 200, also of those outside the counted time."""

    figures: Figures
    bodies: list[bytes]


def run_plan(plan: Plan, on_end: Callable[[], None] = lambda: None, ending: Ending | None = None) -> Round:
    """Do what the plan says; `on_end` is called as soon as the last answer has come. `ending` ends it early.

    Raises OSError when nothing listens there.
    """
    requests = itertools.cycle(plan.build_requests())
    keep = bool(plan.ids or plan.answers)
    ending = ending or Ending()
    latencies: list[float] = []
    bodies: list[bytes] = []
    began = perf_counter()
    start = began + plan.warm_seconds
    end = start + plan.seconds

    def keep_answer(answer: Answer, sent_at: float, now: float) -> None:
        if answer.status != OK:
            return
        if keep:
            bodies.append(answer.body)
        # An open loop's request belongs to the moment at which it was due, a closed loop's to its answer's.
        if start <= (sent_at if plan.rate else now) < end:
            latencies.append(now - sent_at)

    connections = Connections((plan.host, plan.port), plan.connections, keep_answer, may_go=plan.until_gone)

    def is_over() -> bool:
        return ending.is_asked or connections.is_gone

    busy_before = time.process_time()
    if plan.rate:
        _run_open(connections, requests, Schedule(began, plan.rate), end, is_over)
    else:
        _run_closed(connections, requests, end, is_over)
    busy = (time.process_time() - busy_before) / (plan.warm_seconds + plan.seconds)
    _drain(connections, perf_counter() + _DRAIN_SECONDS)
    on_end()
    # A server that cannot keep up with an open loop answers for longer than the round took.
    taken = max(plan.seconds, perf_counter() - start) if plan.rate else plan.seconds
    connections.close()
    figures = Figures.summarise(
        latencies,
        taken,
        errors=connections.errors,
        busy=busy,
        fault=connections.fault,
        unread=connections.unread,
        farewells=connections.farewells,
    )
    return Round(figures, bodies)


def _run_closed(
    connections: Connections, requests: Iterator[bytes], end: float, is_over: Callable[[], bool]
) -> None:
    """Send the next request on each connection as soon as it has its answer, until `end` or `is_over`."""
    idle, send, receive = connections.idle, connections.send, connections.receive
    while (now := perf_counter()) < end and not is_over():
        while idle:
            send(idle.pop(), next(requests), now)
            now = perf_counter()
        receive(0.1)


def _run_open(
    connections: Connections,
    requests: Iterator[bytes],
    schedule: Schedule,
    end: float,
    is_over: Callable[[], bool],
) -> None:
    """Send each request that is due by `end`, at its moment or as soon after as a connection is free."""
    idle = connections.idle
    total = schedule.count_due(end)
    sent, give_up = 0, end + _DRAIN_SECONDS
    while sent < total and not is_over():
        now = perf_counter()
        if now > give_up:
            connections.errors += total - sent
            connections.fault = connections.fault or f"{total - sent} requests were never sent"
            return
        due = min(total, schedule.count_due(now))
        while sent < due and idle:
            connections.send(idle.pop(), next(requests), schedule.compute_moment(sent))
            sent += 1
        if sent < due:
            connections.receive(_POLL_STEP)  # every connection is busy
            continue
        wait = schedule.compute_moment(sent) - perf_counter()
        if wait > 2 * _POLL_STEP:
            connections.receive(_POLL_STEP)
            continue
        connections.receive(0)
        if wait > _SHORTEST_SLEEP:
            time.sleep(min(wait, _SHORTEST_SLEEP))


def _drain(connections: Connections, deadline: float) -> None:
    while connections.busy and perf_counter() < deadline:
        connections.receive(0.05)
