"""The servers of the stack: MariaDB, MLflow, Airflow and the services, with their keys and health checks."""
