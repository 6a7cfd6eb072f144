"""The governor: the rules by which evidence leads to a retraining, or does not, with the reason in words."""
