#!/bin/sh
# Write .env with fresh random secrets for docker-compose.yml. One that is there keeps its values, and gets what an
# earlier version did not need.
set -eu
cd "$(dirname "$0")/.."
umask 077
secret() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
added=""
add() {
    if ! grep -q "^$1=" .env; then
        echo "$1=$2" >> .env
        added="$added $1"
    fi
}
touch .env
# An editor may have left the last line without its end.
if [ -s .env ] && [ -n "$(tail -c 1 .env)" ]; then
    echo >> .env
fi
add EVERGREEN_MARIADB_PASSWORD "$(secret)"
add MARIADB_ROOT_PASSWORD "$(secret)"
add POSTGRES_PASSWORD "$(secret)"
add REDIS_PASSWORD "$(secret)"
add GRAFANA_ADMIN_PASSWORD "$(secret)"
add EVERGREEN_SERVICE_MARIADB_PASSWORD "$(secret)"
add EVERGREEN_EXPORTER_MARIADB_PASSWORD "$(secret)"
add EVERGREEN_GRAFANA_MARIADB_PASSWORD "$(secret)"
add EVERGREEN_AIRFLOW_PASSWORD "$(secret)"
add AIRFLOW_SECRET_KEY "$(secret)"
add AIRFLOW_JWT_SECRET "$(secret)"
# Fernet wants 32 bytes in URL-safe base64.
add AIRFLOW_FERNET_KEY "$(head -c 32 /dev/urandom | base64 | tr '+/' '-_')"
add EVERGREEN_API_KEY "eg_$(secret)"
# The key by which Prometheus reads the services' metrics.
add EVERGREEN_SCRAPE_KEY "eg_$(secret)"
if [ -n "$added" ]; then
    echo "Wrote fresh secrets into .env:$added. Next: docker compose up -d --build --wait"
else
    echo ".env has every secret already and stays as it is; delete it to make new ones."
fi
