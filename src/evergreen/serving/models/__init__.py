"""The model in service: the slot that swaps it, and the watch over changes made by hand in MLflow."""
