"""Monitoring of what is served: drift of the inputs, quality of the answers, and the decision to retrain."""
