"""A model for every user of it: its inputs, on-demand features, predictions, and reference profile."""
