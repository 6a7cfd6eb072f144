"""Figures of many comparisons at once, from counts: effect sizes, p-values, their correction, severities."""
