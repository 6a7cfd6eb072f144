"""Judging a candidate beside champion and baselines: answers, comparison, evaluation, gate."""
