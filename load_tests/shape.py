"""The ramp as locust follows it."""

from __future__ import annotations

from locust import LoadTestShape

from load_tests.ramp import count_users

_DEFAULT_USERS, _DEFAULT_SECONDS = 10, 60


class Ramp(LoadTestShape):
    """Follows `count_users` for --run-time seconds with --users at the peak."""

    # Not found by locust itself, which would use it in every run.
    abstract = True
    use_common_options = True

    def tick(self) -> tuple[int, float] | None:
        assert self.runner is not None
        options = self.runner.environment.parsed_options
        assert options is not None
        seconds = options.run_time or _DEFAULT_SECONDS
        share = self.get_run_time() / seconds
        if share >= 1.0:
            return None
        peak = options.num_users or _DEFAULT_USERS
        return count_users(share, peak), float(max(1, peak))
