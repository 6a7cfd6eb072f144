"""Prometheus metrics of a service: of requests, predictions and their stages; the page that shows them."""
