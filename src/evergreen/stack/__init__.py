"""The embedded stack: MariaDB, MLflow, Airflow and the services as processes of this machine, on loopback."""
