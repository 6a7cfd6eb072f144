"""Charts of a model and its training, drawn from plain numbers: each is a `Picture` for a page or a file."""
