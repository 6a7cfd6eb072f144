"""A signal that ends a service does not end a process that the service is just starting."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from evergreen.serving.predictions.shipping import ENDING_SIGNALS, block_signals

# Tells that it runs, waits for a line, and then ignores the signals, as the shipper does after its imports.
CHILD = """
import signal, sys
print("runs", flush=True)
sys.stdin.readline()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
print("goes on", flush=True)
"""


@pytest.mark.parametrize(("is_blocked", "goes_on"), [(True, True), (False, False)])
def test_a_child_survives_what_comes_before_it_is_ready(is_blocked: bool, goes_on: bool) -> None:
    with block_signals(ENDING_SIGNALS if is_blocked else ()):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "runs\n"
        child.send_signal(signal.SIGTERM)
        rest, _ = child.communicate("\n")
    assert rest == ("goes on\n" if goes_on else "")


def test_the_thread_has_its_own_mask_again() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with block_signals(ENDING_SIGNALS):
        assert set(ENDING_SIGNALS) <= signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
