"""MLflow's experiments of a use case: one of its trainings, one of its monitoring."""
