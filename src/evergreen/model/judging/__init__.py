"""How good predictions are: metrics, their uncertainty, metrics by group, and the verdict of checks."""
