"""Where raw rows come from: files and SQL databases."""
