"""Alerts: what people are told about a use case, to whom, and how often."""
