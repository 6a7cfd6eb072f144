"""Load on a running service: the locust users, and `python -m load_tests` (make load), which runs them."""
