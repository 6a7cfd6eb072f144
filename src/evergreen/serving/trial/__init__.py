"""Trials in a worker of the service: which rows the challenger answers, and when it has to stop."""
