"""`evergreen exporter`: Prometheus metrics of what no server measures, from MariaDB, MLflow and Airflow."""
