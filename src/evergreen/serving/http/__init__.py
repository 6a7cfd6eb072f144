"""Requests and answers of the service: types made from a declaration, error bodies, example requests."""
