"""The report of a check: one document of all that was measured and decided, as JSON and as a page."""
