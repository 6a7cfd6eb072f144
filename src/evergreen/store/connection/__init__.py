"""Connections to MariaDB, locks, errors, conversion of moments, and rows as Arrow tables."""
