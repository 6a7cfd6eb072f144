#!/bin/sh
# Write .env with fresh random secrets for docker-compose.yml. Never overwrites one that is there.
set -eu
cd "$(dirname "$0")/.."
if [ -e .env ]; then
    echo ".env is there already and stays as it is; delete it to make new secrets."
    exit 0
fi
umask 077
secret() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
{
    echo "EVERGREEN_MARIADB_PASSWORD=$(secret)"
    echo "MARIADB_ROOT_PASSWORD=$(secret)"
    echo "POSTGRES_PASSWORD=$(secret)"
    echo "EVERGREEN_AIRFLOW_PASSWORD=$(secret)"
    echo "AIRFLOW_SECRET_KEY=$(secret)"
    echo "AIRFLOW_JWT_SECRET=$(secret)"
    # Fernet wants 32 bytes in URL-safe base64.
    echo "AIRFLOW_FERNET_KEY=$(head -c 32 /dev/urandom | base64 | tr '+/' '-_')"
} > .env
echo "Wrote .env with fresh secrets (mode 600). Next: docker compose up -d --build --wait"
