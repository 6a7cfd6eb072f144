"""A load that rises, holds and falls."""

from __future__ import annotations

RISE, HOLD = 0.4, 0.4  # shares of the run; the rest is the fall


def count_users(share: float, peak: int) -> int:
    """How many users there are after that share (0 to 1) of the run; at least one."""
    if share < RISE:
        height = share / RISE
    elif share < RISE + HOLD:
        height = 1.0
    else:
        height = (1.0 - share) / (1.0 - RISE - HOLD)
    return max(1, round(peak * height))
