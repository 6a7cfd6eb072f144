"""From a training set to a judged candidate: split, tuning, fit, evaluation, gate, reference profile."""
