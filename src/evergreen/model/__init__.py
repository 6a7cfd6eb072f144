"""What a model is, for every user of it: inputs, on-demand features, prediction and reference profile."""
