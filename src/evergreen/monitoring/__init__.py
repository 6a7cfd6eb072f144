"""Watching what is served: drift of the inputs, quality of the answers, and the governor's decisions."""
