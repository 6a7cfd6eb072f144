"""Judging a candidate beside champion and baselines: contest, replay, evaluation and the gate."""
