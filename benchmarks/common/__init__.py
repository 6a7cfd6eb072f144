"""What the benchmarks share: a private MariaDB, an MLflow server, figures and their targets."""
