"""The data contract of a use case, and the report when data breaks it."""
