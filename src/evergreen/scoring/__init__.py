"""Predictions for the rows of a file, each with its answer or its refusal."""
