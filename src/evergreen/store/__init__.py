"""The feature store on MariaDB: connections, tables, records, history, online rows, predictions."""
