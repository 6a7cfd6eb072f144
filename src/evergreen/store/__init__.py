"""The feature store on MariaDB: tables, ingest, point-in-time join, online reads, logs."""
