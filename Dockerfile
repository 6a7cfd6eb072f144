# Evergreen's three images: `docker build --target airflow|mlflow|serving .`, which docker-compose.yml does.
# Each has only its own packages, from a lock of its own (requirements/, written by `make lock`). Evergreen's code is
# their last layer, so that a change of it builds in seconds.

# --- What builds: none of it is in the images -------------------------------------------------------------------

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
# Locked too: nothing is fetched without its hash, and nothing is built in an environment that pip makes by itself.
COPY scripts/build-requirements.txt ./
RUN --mount=type=cache,target=/var/cache/pip,id=pip \
    python -m venv /opt/build \
    && /opt/build/bin/pip install --cache-dir /var/cache/pip --require-hashes --no-deps -r build-requirements.txt
# Installs a lock into /opt/evergreen, which knows the folder of Evergreen's code but has neither pip nor compilers.
COPY docker/install-lock.sh /usr/local/bin/install-lock

FROM build AS airflow-packages
# mysqlclient, which Airflow's MySQL provider requires, has no wheels.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev libmariadb-dev pkg-config python3-dev \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY requirements/airflow.lock ./
RUN --mount=type=cache,target=/var/cache/pip,id=pip install-lock airflow.lock

FROM build AS mlflow-packages
COPY requirements/mlflow.lock ./
RUN --mount=type=cache,target=/var/cache/pip,id=pip install-lock mlflow.lock

FROM build AS serving-packages
COPY requirements/serving.lock ./
RUN --mount=type=cache,target=/var/cache/pip,id=pip install-lock serving.lock

FROM build AS code
COPY pyproject.toml README.md ./
COPY src ./src
COPY sql ./sql
COPY dags ./dags
# Its programs name the interpreter that the images have at the same place.
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
    && python -m venv --without-pip /opt/evergreen \
    && /opt/build/bin/pip --python /opt/evergreen/bin/python install --no-cache-dir --no-deps --no-index \
        --target /opt/evergreen-code /wheels/*.whl

# --- What runs --------------------------------------------------------------------------------------------------

FROM python:3.11-slim-bookworm AS base
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends curl libgomp1 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
    && useradd --no-create-home --home-dir /tmp --uid 10001 evergreen
ENV PATH=/opt/evergreen-code/bin:/opt/evergreen/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2 \
    HOME=/tmp

FROM base AS mlflow
RUN install -d -o evergreen -g evergreen /var/lib/mlflow
COPY --from=mlflow-packages /opt/evergreen /opt/evergreen
USER 10001
WORKDIR /var/lib/mlflow
CMD ["mlflow", "--help"]
LABEL org.opencontainers.image.title="evergreen-mlflow" \
    org.opencontainers.image.description="MLflow's server with its metadata in PostgreSQL" \
    org.opencontainers.image.licenses="Apache-2.0"

FROM base AS platform
# What is mounted here keeps the owner that it has outside; only who starts the container can mount it.
RUN install -d -o evergreen -g evergreen /var/lib/evergreen /var/lib/evergreen/tmp /var/log/airflow \
    && install -d -m 700 -o evergreen -g evergreen /var/lib/evergreen-keys
ENV EVERGREEN_HOME=/var/lib/evergreen \
    EVERGREEN_TRUSTED_FOLDERS=/var/lib/evergreen

FROM platform AS serving
COPY --from=serving-packages /opt/evergreen /opt/evergreen
USER 10001
WORKDIR /var/lib/evergreen
CMD ["python", "-m", "evergreen.serving.launch", "--host", "0.0.0.0"]
LABEL org.opencontainers.image.title="evergreen-serving" \
    org.opencontainers.image.description="Evergreen's prediction service: one use case, its champion, its log" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=code /opt/evergreen-code /opt/evergreen-code

FROM platform AS airflow
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libmariadb3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY --from=airflow-packages /opt/evergreen /opt/evergreen
USER 10001
WORKDIR /var/lib/evergreen
CMD ["evergreen", "--help"]
LABEL org.opencontainers.image.title="evergreen-airflow" \
    org.opencontainers.image.description="Airflow with Evergreen's verbs and its command line" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=code /opt/evergreen-code /opt/evergreen-code
