#!/bin/sh
# The simulated bank is a foreign database to Evergreen; here it lives on the same server, in a schema of its own.
set -eu
mariadb --user=root --password="$MARIADB_ROOT_PASSWORD" <<SQL
CREATE DATABASE IF NOT EXISTS credit_bank CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
GRANT ALL PRIVILEGES ON credit_bank.* TO '$MARIADB_USER'@'%';
SQL
