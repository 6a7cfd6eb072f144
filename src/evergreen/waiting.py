"""Waiting for something that can only be asked for again and again. Standard library only."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

POLL_SECONDS = 0.2


def wait_until(
    check: Callable[[], Answer], seconds: float = math.inf, *, poll_seconds: float = POLL_SECONDS
) -> Answer:
    """Call `check` until its answer is true, for `seconds` at most, and return its last answer.

    `check` is called at least once, and again after each pause of `poll_seconds`. Waiting follows the
    monotonic clock. What `check` raises ends the wait.
    """
    deadline = time.monotonic() + seconds
    while not (answer := check()) and time.monotonic() < deadline:
        time.sleep(poll_seconds)
    return answer
