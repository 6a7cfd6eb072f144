"""One campaign against one service: requests to every call of its document, and all checks on the answers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis import BaseSchema, HookContext
from schemathesis.config import SchemathesisConfig
from schemathesis.core.errors import LoaderError
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder

_LONGEST_TEXT = 2_000
# So many single requests are sent for each sequence of them.
_CASES_PER_SEQUENCE = 20
# An answer that takes longer is a finding.
_ANSWER_SECONDS = 30


@dataclass
class Finding:
    """Answers of one call that break one check; `request` repeats the first of them."""

    call: str
    check: str
    message: str
    request: str
    count: int = 0


@dataclass
class Report:
    """What was sent (`cases`), answered (`statuses`, 0 where no answer came) and found, by call.

    `faults` are those of the campaign itself: a document that cannot be read, a service that is gone.
    """

    seed: int
    cases: Counter[str] = field(default_factory=Counter)
    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    findings: dict[tuple[str, str], Finding] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def server_errors(self) -> int:
        return sum(
            count for counts in self.statuses.values() for status, count in counts.items() if status >= 500
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "cases": dict(sorted(self.cases.items())),
            "statuses": {
                call: {str(status): count for status, count in sorted(counts.items())}
                for call, counts in sorted(self.statuses.items())
            },
            "server_errors": self.server_errors,
            "findings": [vars(finding) for finding in self.findings.values()],
            "faults": self.faults,
            "seconds": round(self.seconds, 1),
        }

    def describe(self) -> str:
        """The findings and faults for people to read; "" for none."""
        lines = [
            f"{each.call}: {each.check}, {each.count} times\n{each.message}\n{each.request}"
            for each in self.findings.values()
        ]
        return "\n\n".join([*lines, *self.faults])


def fuzz_service(
    url: str,
    cases: int,
    *,
    seed: int,
    api_key: str | None = None,
    known_keys: Sequence[Mapping[str, Any]] = (),
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Send at least `cases` generated requests to each call that takes a body or headers, and check answers.

    The same seed sends the same requests to the same service. Half of the well-formed single keys become one
    of `known_keys`, because no made-up one is in the online store. `say` takes a line of progress at a time.
    """
    report = Report(seed)
    began = time.monotonic()
    try:
        schema = schemathesis.openapi.from_url(
            f"{url}/openapi.json", config=_configure(cases, seed), headers=_sign_in(api_key)
        )
    except LoaderError as error:
        report.faults.append(f"the service's document cannot be read: {error}")
        return report
    schema.config.update(headers=_sign_in(api_key))
    if known_keys:
        _use_known_keys(schema, known_keys)
    try:
        for event in from_schema(schema).execute():
            _take_event(event, report, say)
    except KeyboardInterrupt:
        report.faults.append("the campaign was interrupted: what it had sent until then is above")
    report.seconds = time.monotonic() - began
    return report


def _take_event(event: events.EngineEvent, report: Report, say: Callable[[str], None]) -> None:
    if isinstance(event, events.ScenarioFinished):
        known = len(report.findings)
        _collect(event.recorder, report)
        say(f"  {event.phase.value}: {event.recorder.label}, {len(event.recorder.cases):,} requests")
        for finding in list(report.findings.values())[known:]:
            say(f"  found: {finding.call}: {finding.check}")
    elif isinstance(event, events.NonFatalError):
        report.faults.append(f"{event.label}: {event.info.message}")
    elif isinstance(event, events.FatalError):
        report.faults.append(f"the campaign ended: {event.exception}")


def replace_key(body: Any, known_keys: Sequence[Mapping[str, Any]]) -> Any:
    """The body with one of `known_keys` in the place of every other well-formed key. What is not as it should
    be, such as a key beyond 64 bits, stays: the service must refuse it."""
    key = body.get("data") if isinstance(body, dict) else None
    if not isinstance(key, dict) or key.keys() != known_keys[0].keys():
        return body
    if not all(type(part) is int and -(2**63) <= part < 2**63 for part in key.values()):
        return body
    number = sum(key.values())
    return body if number % 2 else {**body, "data": dict(known_keys[number // 2 % len(known_keys)])}


def _use_known_keys(schema: BaseSchema, known_keys: Sequence[Mapping[str, Any]]) -> None:
    @schema.hook
    def map_body(context: HookContext, body: Any) -> Any:
        is_by_key = context.operation is not None and context.operation.path == "/predict_by_key"
        return replace_key(body, known_keys) if is_by_key else body


def _configure(cases: int, seed: int) -> SchemathesisConfig:
    return SchemathesisConfig.from_dict(
        {
            "seed": seed,
            # They are about the speed of making requests.
            "suppress-health-check": ["all"],
            "continue-on-failure": True,
            "request-timeout": _ANSWER_SECONDS,
            "generation": {"max-examples": cases, "database": "none"},
            # Sequences of several calls, which follow from one another: each sends six requests.
            "phases": {"stateful": {"generation": {"max-examples": max(1, cases // _CASES_PER_SEQUENCE)}}},
            "cache": {"enabled": False},
        }
    )


def _sign_in(api_key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}


def _collect(recorder: ScenarioRecorder, report: Report) -> None:
    """Add what one scenario sent and found to the report."""
    calls = {case_id: node.value.operation.label for case_id, node in recorder.cases.items()}
    report.cases.update(calls.values())
    for case_id, exchange in recorder.interactions.items():
        status = exchange.response.status_code if exchange.response is not None else 0
        report.statuses.setdefault(calls[case_id], Counter())[status] += 1
    for case_id, nodes in recorder.checks.items():
        for node in nodes:
            if node.failure_info is not None:
                failure = node.failure_info.failure
                key = (calls[case_id], failure.title)
                finding = report.findings.get(key)
                if finding is None:
                    request = node.failure_info.code_sample[:_LONGEST_TEXT]
                    finding = Finding(*key, failure.message[:_LONGEST_TEXT], request)
                    report.findings[key] = finding
                finding.count += 1
