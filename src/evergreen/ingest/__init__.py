"""From raw rows to the feature store: what to read, checking, sorting, staging and the record of a run."""
