"""A declaration for a table that people bring: statistics of its columns, what is inferred, the text."""
