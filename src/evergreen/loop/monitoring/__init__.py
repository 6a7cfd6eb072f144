"""Steps around a check and its decision: health, alerts, the decision at a training, and decisions to look
at."""
