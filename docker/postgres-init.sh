#!/bin/sh
# Airflow's database is POSTGRES_DB; MLflow gets one of its own.
set -eu
psql --username "$POSTGRES_USER" --dbname postgres --command 'CREATE DATABASE mlflow'
