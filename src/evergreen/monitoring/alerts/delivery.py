"""Delivers an alert to targets, each within a few seconds, whatever the target does."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from evergreen.monitoring.alerts.targets import Target, collect_warnings
from evergreen.store.records.checks.alert import SENT

# The longest that one target may take in all: its time-outs bound the steps of a connection, not their sum.
TARGET_SECONDS = 8.0


def deliver_text(
    targets: Sequence[Target], title: str, body: str, *, seconds: float = TARGET_SECONDS
) -> Mapping[str, str]:
    """Send a text to each target, one after the other; by target's name "sent", or why not. Never raises for
    what a target does.

    A target that has not answered after `seconds` is left alone.
    """
    return {target.name: _send(target, title, body, seconds) for target in targets}


def _send(target: Target, title: str, body: str, seconds: float) -> str:
    outcome: list[str] = []
    # A daemon: a target that answers a byte now and then keeps neither this process nor its end waiting.
    thread = threading.Thread(
        target=lambda: outcome.append(_notify(target, title, body)), name="evergreen-alert", daemon=True
    )
    thread.start()
    thread.join(seconds)
    return outcome[0] if outcome else f"no answer after {seconds:g} s"


def _notify(target: Target, title: str, body: str) -> str:
    with collect_warnings() as warnings:
        try:
            if target.service.notify(title=title, body=body):
                return SENT
        except Exception as error:  # noqa: BLE001  a hundred services, each with libraries of its own
            return target.hide_secrets(f"{type(error).__name__}: {error}")
    return target.hide_secrets(warnings[-1]) if warnings else "refused"
