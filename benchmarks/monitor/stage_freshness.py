"""How fresh the retrain policy keeps a model, and at how many retrains: on streams whose truth changes.

Each stream (see `freshness_stream`) is replayed by the engine of `evergreen backtest` under the policy that
users get by default, never retraining, and fixed intervals from one day on. All sides do the same work: they
see the same labels, choose their windows by the same rule, and fit the same model, a logistic regression,
which makes 730 daily retrains affordable; what is measured is the policy, not the model. Nothing else is
declared, and no gate holds a candidate back.

`retrains_vs_fixed` is the median of the streams' ratios. On a stream where no fixed interval is as accurate
as our policy, not even daily retraining, there is no ratio: 730 retrains were not enough. Such a stream is
infinite in the median, as in `freshness_streams`, where JSON has null for it; `retrains_vs_fixed_unreached`
says how many there are.

The policy's defaults were chosen on the streams of the seeds 101 to 107, which no default of this stage uses.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from statistics import fmean, median
from typing import Any

from benchmarks.monitor.freshness_stream import DAYS, START, draw_stream
from benchmarks.monitor.freshness_task import FittedWeights, StreamTask
from benchmarks.monitor.stage import Options

from evergreen.backtest.engine import Replay, ReplayResult, build_fixed_policy
from evergreen.backtest.window_fit import FitCache
from evergreen.usecase import RetrainPolicy

POLICY = RetrainPolicy()
SEEDS, QUICK_SEEDS = 5, 1
# Days between two retrains.
INTERVALS = (
    *(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 18, 20, 21, 25, 28, 30, 35, 40, 45, 60, 90, 120),
)
QUICK_INTERVALS = (1, 7, 14, 30, 60)


@dataclass(frozen=True)
class StreamResult:
    """One stream: the accuracy of never retraining, of ours, and by interval in days, with the retrains; our
    distinct fits and triggers, and the processor time of our retrains and of daily ones in seconds."""

    never: float
    ours: float
    retrains: int
    fixed: Mapping[int, tuple[int, float]]
    distinct_fits: int
    triggers: Mapping[str, int]
    cpu_seconds: float
    daily_cpu_seconds: float

    @property
    def gain(self) -> float:
        """Our part of what daily retraining gains over never retraining."""
        return (self.ours - self.never) / (self.fixed[1][1] - self.never)


def measure(options: Options) -> Mapping[str, Any]:
    """freshness_gain and retrains_share in the mean of the seeds, retrains_vs_fixed in their median; each
    with the worst seed."""
    count, intervals = (QUICK_SEEDS, QUICK_INTERVALS) if options.quick else (SEEDS, INTERVALS)
    seeds = [1_000 * options.seed + number for number in range(count)]
    with ProcessPoolExecutor(min(options.cores, count)) as pool:
        results = list(pool.map(partial(replay_stream, intervals), seeds))
    shares = [result.retrains / result.fixed[1][0] for result in results]
    ratios = [compare_with_fixed(result) for result in results]
    return {
        "freshness_gain": fmean(result.gain for result in results),
        "freshness_gain_worst": min(result.gain for result in results),
        "retrains_share": fmean(shares),
        "retrains_share_worst": max(shares),
        "retrains_vs_fixed": median(ratios),
        "retrains_vs_fixed_worst": min(ratios),
        "retrains_vs_fixed_unreached": sum(map(math.isinf, ratios)),
        "freshness_cpu_share": fmean(result.cpu_seconds / result.daily_cpu_seconds for result in results),
        "freshness_streams": {
            str(seed): {
                "gain": result.gain,
                "retrains": result.retrains,
                "vs_fixed": ratio,
                "distinct_fits": result.distinct_fits,
                "triggers": dict(result.triggers),
                "accuracy": {"never": result.never, "ours": result.ours, "daily": result.fixed[1][1]},
                "gain_by_interval_days": {
                    str(days): round((accuracy - result.never) / (result.fixed[1][1] - result.never), 4)
                    for days, (_, accuracy) in result.fixed.items()
                },
            }
            for seed, result, ratio in zip(seeds, results, ratios, strict=True)
        },
        "freshness_policy": {name: str(value) for name, value in vars(POLICY).items()},
    }


def replay_stream(intervals: Sequence[int], seed: int) -> StreamResult:
    """Every policy on the stream of one seed."""
    stream = draw_stream(seed)
    # Fits of the same rows are made once for all policies; the processor time of a fit counts for each.
    task = StreamTask(stream)
    cache = FitCache(task.identify_rows, task.fit)
    ours = _replay(task, POLICY, cache)
    quiet = StreamTask(stream, with_drift=False)
    never = _replay(quiet, build_fixed_policy(POLICY, None), cache)
    fixed = {
        days: _replay(quiet, build_fixed_policy(POLICY, timedelta(days=days)), cache) for days in intervals
    }
    return StreamResult(
        never=_read_accuracy(never),
        ours=_read_accuracy(ours),
        retrains=len(ours.retrains),
        fixed={days: (len(result.retrains), _read_accuracy(result)) for days, result in fixed.items()},
        distinct_fits=ours.distinct_fits,
        triggers=Counter(retrain.trigger for retrain in ours.retrains),
        cpu_seconds=ours.cpu_seconds,
        daily_cpu_seconds=fixed[1].cpu_seconds,
    )


def compare_with_fixed(result: StreamResult) -> float:
    """The retrains of the rarest fixed interval whose accuracy reaches ours / ours; infinite where none
    reaches it."""
    needed = [retrains for retrains, accuracy in result.fixed.values() if accuracy >= result.ours]
    return min(needed, default=math.inf) / max(1, result.retrains)


def _replay(task: StreamTask, policy: RetrainPolicy, cache: FitCache[FittedWeights]) -> ReplayResult:
    moments = [START + timedelta(days=day) for day in range(1, DAYS + 1)]
    return Replay(task, cache, policy, moments, START).run()


def _read_accuracy(result: ReplayResult) -> float:
    assert result.quality is not None  # every day has rows
    return result.quality
