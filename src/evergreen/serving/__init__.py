"""The prediction service: typed requests, a model slot that swaps while serving, and the prediction log."""
