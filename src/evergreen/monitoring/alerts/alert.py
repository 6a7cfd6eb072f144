"""An alert: one thing that people should know of, as a title and a sentence or more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from evergreen.store.records.checks.alert import AlertRecord, compute_alert_id

AlertKind = Literal[
    "drift",
    "quality_drop",
    "contract_failure",
    "rejected_candidate",
    "stale_data",
    "log_loss",
    "trial_ended",
    "service",
]
ALERT_KINDS: tuple[AlertKind, ...] = get_args(AlertKind)

# What happened once and is told once. Other kinds describe a state, which is told again while it lasts.
TOLD_ONCE: frozenset[AlertKind] = frozenset({"contract_failure", "rejected_candidate", "trial_ended"})

_TITLES: dict[AlertKind, str] = {
    "drift": "drift",
    "quality_drop": "quality drop",
    "contract_failure": "contract failure",
    "rejected_candidate": "candidate rejected",
    "stale_data": "stale data",
    "log_loss": "predictions lost",
    "trial_ended": "trial ended",
    "service": "service trouble",
}


@dataclass(frozen=True)
class Alert:
    """What is to be told about a use case.

    `subject` is what it is about, such as a version, a view or a trial: of one kind and subject an alert is
    not repeated soon. `hint` is what to do next, "" for nothing.
    """

    use_case: str
    kind: AlertKind
    subject: str
    severity: Literal["warning", "error"]
    sentence: str
    hint: str = ""

    @property
    def title(self) -> str:
        """One line: the use case, the kind and the subject."""
        about = f" ({self.subject})" if self.subject else ""
        return f"Evergreen, {self.use_case}: {_TITLES[self.kind]}{about}"

    def build_record(self, as_of: datetime, raised_at: datetime) -> AlertRecord:
        """The row of the alert as of a check's moment, to be delivered. Moments are aware."""
        body = f"{self.sentence}\nNext: {self.hint}" if self.hint else self.sentence
        return AlertRecord(
            id=compute_alert_id(self.use_case, self.kind, self.subject, as_of),
            use_case=self.use_case,
            kind=self.kind,
            subject=self.subject,
            severity=self.severity,
            title=self.title,
            body=f"{body}\nAs of {as_of:%Y-%m-%d %H:%M} UTC.",
            as_of=as_of,
            raised_at=raised_at,
            status="pending",
        )
