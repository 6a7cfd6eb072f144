"""The way of a prediction from the bytes of its request to those of its answer."""
