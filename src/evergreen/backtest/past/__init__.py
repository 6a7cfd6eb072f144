"""The past of a use case as a replay sees it: rows, when each was known, and measures."""
