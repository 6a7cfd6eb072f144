"""The newest features per key, for requests and batch scoring."""
