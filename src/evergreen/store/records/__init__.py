"""Rows of the platform's tables as typed records: ingest runs, training runs, drift reports, decisions."""
