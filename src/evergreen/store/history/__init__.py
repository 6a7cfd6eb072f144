"""What was true at a moment, as known at another: the point-in-time join and the training set."""
