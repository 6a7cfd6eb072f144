"""What is kept of a training: evidence in MLflow, pictures, and the facts of the model card."""
