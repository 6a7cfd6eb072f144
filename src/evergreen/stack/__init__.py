"""The embedded local stack: MariaDB, MLflow, Airflow and the services as child processes on loopback."""
