#!/bin/sh
# The simulated bank is a foreign database to Evergreen; here it lives on the same server, in a schema of its own.
set -eu
# Not on the command line, where every process of the container could read it.
MYSQL_PWD="$MARIADB_ROOT_PASSWORD" mariadb --user=root <<SQL
CREATE DATABASE IF NOT EXISTS credit_bank CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
GRANT ALL PRIVILEGES ON credit_bank.* TO '$MARIADB_USER'@'%';
SQL
