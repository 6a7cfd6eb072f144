"""Pages that open anywhere: one HTML text each, with its charts, without a script and without a network."""
