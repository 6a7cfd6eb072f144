"""Other ways to serve the same model, in our own code, and the no-op of the web framework."""
