"""Connections to MariaDB, its errors in plain words, its moments, and its rows as Arrow tables."""
