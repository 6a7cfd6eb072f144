"""Manifests for Kubernetes, and values for the official Helm chart of Airflow."""
