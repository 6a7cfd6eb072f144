"""The rows of a training: read once, divided into training part and hold-out, and checked."""
