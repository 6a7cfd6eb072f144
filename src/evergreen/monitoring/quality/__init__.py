"""Quality: what answers were worth where outcomes are known, and what they are likely to be worth where not.

`prediction_quality` measures one monitoring window; `labelled_rows` joins predictions with their outcomes;
`realised` keeps metrics per day, version and slice; `estimate` estimates them without labels, and `trust`
says whether these estimates have been right; `trial_comparison` compares the versions of a trial.
"""

from evergreen.monitoring.quality.prediction_quality import compute_quality, measure_prediction_quality

__all__ = ["compute_quality", "measure_prediction_quality"]
