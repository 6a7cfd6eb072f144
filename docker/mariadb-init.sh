#!/bin/sh
# Run by the image at its first start, when MARIADB_USER has all rights in MARIADB_DATABASE and no others.
# Run again it brings the ledger up to date: docker compose up -d --force-recreate mariadb, then
# docker compose exec mariadb sh /docker-entrypoint-initdb.d/10-evergreen.sh
set -eu
# Not on the command line, where every process of the container could read it.
export MYSQL_PWD="${MARIADB_ROOT_PASSWORD:-$(cat "${MARIADB_ROOT_PASSWORD_FILE:-/dev/null}")}"

# The simulated bank is a foreign database to Evergreen; here it lives on the same server, in a schema of its own.
mariadb --user=root <<SQL
CREATE DATABASE IF NOT EXISTS credit_bank CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
GRANT ALL PRIVILEGES ON \`credit\\_bank\`.* TO '$MARIADB_USER'@'%';
SQL

# The ledger: append-only, because that user may neither change nor delete its lines.
sed -e "s/{ledger}/${MARIADB_DATABASE}_ledger/g" -e "s/{user}/$MARIADB_USER/g" -e "s/{host}/%/g" \
    -e "s/{definer}/CURRENT_USER/g" /opt/evergreen/ledger.sql | mariadb --user=root
