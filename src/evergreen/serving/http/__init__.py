"""Requests and answers of the service: types built from a declaration, error bodies, example requests."""
