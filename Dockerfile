# One image for every part of Evergreen's own code: Airflow's components, MLflow and the prediction services.
# docker-compose.yml says which command each container runs.

FROM python:3.11-slim-bookworm AS build
# mysqlclient, which Airflow's MySQL provider requires, is compiled; the last stage has no compiler. A bento of the
# service needs none at all: it has PyMySQL (bentofile.yaml).
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev libmariadb-dev pkg-config python3-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
RUN python -m venv /opt/evergreen
COPY requirements.lock scripts/build-requirements.txt ./
# What builds mysqlclient and Evergreen comes first and is locked too; nothing is installed without its hash.
RUN --mount=type=cache,target=/var/cache/pip PIP_CACHE_DIR=/var/cache/pip \
    /opt/evergreen/bin/pip install --require-hashes --no-deps -r build-requirements.txt \
    && PIP_CACHE_DIR=/var/cache/pip \
    /opt/evergreen/bin/pip install --require-hashes --no-deps --no-build-isolation -r requirements.lock
COPY pyproject.toml README.md ./
COPY src ./src
COPY sql ./sql
COPY dags ./dags
RUN --mount=type=cache,target=/var/cache/pip PIP_CACHE_DIR=/var/cache/pip \
    /opt/evergreen/bin/pip install --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends libmariadb3 libgomp1 curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 evergreen \
    && install -d -o evergreen -g evergreen /var/lib/evergreen /var/lib/evergreen/airflow \
        /var/lib/evergreen/airflow/logs /var/lib/mlflow \
    && install -d -m 700 -o evergreen -g evergreen /var/lib/evergreen-keys
COPY --from=build /opt/evergreen /opt/evergreen
COPY dags /opt/evergreen/dags
COPY docker/airflow-entrypoint.sh /usr/local/bin/airflow-entrypoint
ENV PATH=/opt/evergreen/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    EVERGREEN_HOME=/var/lib/evergreen \
    EVERGREEN_TRUSTED_FOLDERS=/var/lib/evergreen
# What is mounted there keeps the owner that it has outside; only who starts the container can mount it.
USER evergreen
WORKDIR /var/lib/evergreen
CMD ["evergreen", "--help"]
