"""The search for a model's parameters: workers, the studies they share, and the result."""
