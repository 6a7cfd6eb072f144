"""The rows of a training: chosen once, split into fit and hold-out, and checked."""
