"""Health of the data and of the service, beside drift and quality in the report of a check."""
