"""From a table that somebody has to a declaration: what its columns hold, and the text that is written."""
