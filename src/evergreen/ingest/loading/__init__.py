"""Loading clean rows into tables: sorting, comparison with the stored rows, and one transaction for all
parts."""
