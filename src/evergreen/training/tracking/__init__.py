"""Trainings in MLflow: one run per training, with the trials of its search as nested runs."""
