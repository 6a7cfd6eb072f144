"""From a training set to a judged candidate: split, search, fit, evaluation, gate, and what MLflow keeps."""
