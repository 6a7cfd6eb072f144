"""One table for each kind of record that the platform keeps: ingest runs, training runs, reports."""
