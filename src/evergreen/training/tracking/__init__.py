"""Trainings in MLflow: one run per training, and the trials of its search below it."""
