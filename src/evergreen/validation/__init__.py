"""Raw rows checked against the data contract of a use case, batch by batch, and the report on them."""
