"""Drift: how much the rows of one window differ from a reference, or from another window, by their counts."""
