"""docker-compose.yml as text, written from the deployment's facts (`deployment.py`).

`python scripts/write-compose.py` replaces the committed file; a unit test compares the two. Values such as
`${POSTGRES_PASSWORD:?...}` are left for docker compose, which reads them from .env.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from textwrap import indent

from evergreen.loop import TRAINING_POOL
from evergreen.serving.standing import format_container_name
from evergreen.stack.servers import deployment as facts
from evergreen.stack.servers.compose_text import (
    default_variable,
    format_url,
    offer_setting,
    render_http_check,
    render_list,
    render_mapping,
    render_needs,
    require_variable,
)
from evergreen.stack.servers.deployment import Server
from evergreen.stack.servers.envfile import build_variables
from evergreen.usecase import UseCase
from evergreen.usecases import credit_score, titanic

HOME = "/var/lib/evergreen"
_AIRFLOW_HOME = f"{HOME}/airflow"
_ARTIFACTS = "/var/lib/mlflow"
_TITANIC_FILE = f"{HOME}/data/titanic/train.csv"
# Outside the home, of which each service has a volume of its own: `evergreen keys` writes it for all of them.
_KEYS_FOLDER = "/var/lib/evergreen-keys"
# Settings that .env may change; everything else belongs to this file.
_OPEN_SETTINGS = (
    "metrics_access",
    "cors_origins",
    "service_workers",
    "request_seconds",
    "log_format",
    "cache_mb",
    "history_days",
    "check_days",
    "threads",
    "task_type",
    "champion_poll_seconds",
    "follow_declaration",
    "alert_urls",
    "alert_repeat_hours",
)

_HEAD = """\
# The same loop in containers. Nothing but the settings differs from `evergreen up`.
# Refuses to start without .env: run `make env` once, then `docker compose up -d --build --wait`.
# Written by scripts/write-compose.py from src/evergreen/stack/servers/: change it there.
"""


def render_compose() -> str:
    """The whole of docker-compose.yml."""
    use_cases = (credit_score.USE_CASE, titanic.USE_CASE)
    sections = [
        _HEAD,
        "name: evergreen\n",
        _render_common(use_cases),
        _render_airflow_common(),
        _render_service_common(),
        "services:\n" + indent("\n".join(_render_services(use_cases)), "  "),
        _render_volumes(use_cases),
    ]
    return "\n".join(sections)


def _render_common(use_cases: Iterable[UseCase]) -> str:
    """What every container of Evergreen's own image has: where the servers are, and how to sign in."""
    password = require_variable("EVERGREEN_MARIADB_PASSWORD")
    database = f"{facts.DATABASE_USER}:${{EVERGREEN_MARIADB_PASSWORD}}@{facts.MARIADB.name}"
    settings = build_variables(
        {
            "mariadb_host": facts.MARIADB.name,
            "mariadb_port": facts.MARIADB.port,
            "mariadb_user": facts.DATABASE_USER,
            "mariadb_password": password,
            "mariadb_database": facts.DATABASE,
        }
    )
    servers = build_variables(
        {
            "mlflow_tracking_uri": format_url(facts.MLFLOW),
            "mlflow_url": f"http://127.0.0.1:{default_variable('MLFLOW_PORT', facts.MLFLOW.usual_port)}",
            "airflow_url": format_url(facts.AIRFLOW_API),
            "airflow_user": facts.AIRFLOW_USER,
            "airflow_password": require_variable("EVERGREEN_AIRFLOW_PASSWORD"),
            "service_urls": {
                each.name: f"http://{format_container_name(each.name)}:{facts.SERVICE.port}"
                for each in use_cases
            },
            "sources": {"titanic": _TITANIC_FILE},
            # A service listens on its container's address, so every caller needs a key.
            "api_key": require_variable("EVERGREEN_API_KEY"),
            "api_keys": default_variable("EVERGREEN_API_KEYS", ""),
            "api_keys_file": f"{_KEYS_FOLDER}/api-keys",
            "allowed_hosts": ",".join(
                [
                    default_variable("EVERGREEN_ALLOWED_HOSTS", ""),
                    *(format_container_name(each.name) for each in use_cases),
                ]
            ),
            **{name: offer_setting(name) for name in _OPEN_SETTINGS},
        }
    )
    bank = f"mysql://{database}:{facts.MARIADB.port}/{facts.BANK_DATABASE}?local_infile=1"
    return f"""\
x-evergreen: &evergreen
  image: evergreen:local
  restart: unless-stopped
  environment: &settings
{render_mapping(settings, 4)}
    # Only this file's own containers are on its network: what answers as `mariadb` is the container below.
    EVERGREEN_MARIADB_LOCAL_INFILE: "on"
{render_mapping({**servers, **facts.NO_TELEMETRY, facts.BANK_CONNECTION: bank}, 4)}
"""


def _render_airflow_common() -> str:
    """What every Airflow container has: the whole configuration, in the environment."""
    database = (
        f"postgresql+psycopg2://evergreen:{require_variable('POSTGRES_PASSWORD')}"
        f"@{facts.POSTGRES.name}:{facts.POSTGRES.port}/airflow"
    )
    options: dict[str, dict[str, facts.OptionValue]] = {
        "core": {
            "dags_folder": "/opt/evergreen/dags",
            **facts.AIRFLOW_OPTIONS["core"],
            "execution_api_server_url": f"{format_url(facts.AIRFLOW_API)}/execution/",
            "fernet_key": require_variable("AIRFLOW_FERNET_KEY"),
            "simple_auth_manager_passwords_file": f"{_AIRFLOW_HOME}/passwords.json",
        },
        "database": {"sql_alchemy_conn": database},
        "api": {**facts.AIRFLOW_OPTIONS["api"], "secret_key": require_variable("AIRFLOW_SECRET_KEY")},
        "api_auth": {"jwt_secret": require_variable("AIRFLOW_JWT_SECRET")},
    }
    variables = {"AIRFLOW_HOME": _AIRFLOW_HOME, **facts.build_airflow_variables(options)}
    needs = facts.AIRFLOW_DAG_PROCESSOR.container_needs
    return f"""\
x-airflow: &airflow
  <<: *evergreen
  entrypoint: ["airflow-entrypoint"]
  environment: &airflow-settings
    <<: *settings
{render_mapping(variables, 4)}
  volumes:
    - airflow-logs:{_AIRFLOW_HOME}/logs
    - ./data:{HOME}/data:ro
  depends_on: &airflow-needs
{render_needs(needs, 4)}
"""


def _render_service_common() -> str:
    """What every service's container has."""
    port = facts.SERVICE.port
    command = json.dumps(["python", *facts.build_service_arguments("0.0.0.0", port)])
    return f"""\
x-service: &service
  <<: *evergreen
  command: {command}
  # What it has answered goes to MariaDB before it ends, or stays in its volume for the next start.
  stop_grace_period: {facts.SERVICE_STOP_SECONDS}s
  depends_on:
{render_needs(facts.SERVICE.container_needs, 4)}
  healthcheck: &service-health
    # Alive, with or without a champion: /readyz says whether there is one.
{render_http_check(facts.SERVICE, retries=24, depth=4)}
"""


def _render_services(use_cases: Iterable[UseCase]) -> list[str]:
    """A text per container, in the order of the file; each ends with a line break."""
    return [
        _render_mariadb(),
        _render_store_tables(),
        _render_postgres(),
        _render_mlflow(),
        _render_airflow_init(),
        *(_render_airflow_server(server) for server in facts.AIRFLOW_SERVERS),
        *(_render_service(use_case) for use_case in use_cases),
        _render_command_line(),
    ]


def _render_mariadb() -> str:
    root = require_variable("MARIADB_ROOT_PASSWORD")
    return f"""\
{facts.MARIADB.name}:
  image: mariadb:11.8
  restart: unless-stopped
  stop_grace_period: {facts.MARIADB_STOP_SECONDS}s
  command:
{render_list(facts.build_mariadb_options(), 4)}
  environment:
    MARIADB_DATABASE: {facts.DATABASE}
    MARIADB_USER: {facts.DATABASE_USER}
    MARIADB_PASSWORD: {require_variable("EVERGREEN_MARIADB_PASSWORD")}
    MARIADB_ROOT_PASSWORD: {root}
  volumes:
    - mariadb-data:/var/lib/mysql
    - ./docker/mariadb-init.sh:/docker-entrypoint-initdb.d/10-evergreen.sh:ro
    - ./sql/admin/ledger.sql:/opt/evergreen/ledger.sql:ro
  healthcheck:
    test: ["CMD", "healthcheck.sh", "--connect", "--innodb_initialized"]
    interval: 3s
    timeout: 5s
    retries: 40
"""


def _render_store_tables() -> str:
    return f"""\
{facts.STORE_TABLES.name}:
  <<: *evergreen
  restart: "no"
  command: {json.dumps(["python", "-m", facts.STORE_TABLES_MODULE])}
  depends_on:
{render_needs(facts.STORE_TABLES.container_needs, 4)}
"""


def _render_postgres() -> str:
    return f"""\
{facts.POSTGRES.name}:
  image: postgres:17
  restart: unless-stopped
  environment:
    POSTGRES_USER: evergreen
    POSTGRES_PASSWORD: {require_variable("POSTGRES_PASSWORD")}
    POSTGRES_DB: airflow
  volumes:
    - postgres-data:/var/lib/postgresql/data
    - ./docker/postgres-init.sh:/docker-entrypoint-initdb.d/10-mlflow.sh:ro
  healthcheck:
    test: ["CMD", "pg_isready", "--username", "evergreen", "--dbname", "mlflow"]
    interval: 3s
    timeout: 5s
    retries: 40
"""


def _render_mlflow() -> str:
    port = facts.MLFLOW.port
    more = ("--serve-artifacts", f"--allowed-hosts={facts.MLFLOW.name}:{port},localhost:*,127.0.0.1:*")
    command = ["mlflow", *facts.build_mlflow_arguments("0.0.0.0", port, _ARTIFACTS, *more)]
    database = (
        f"postgresql+psycopg2://evergreen:{require_variable('POSTGRES_PASSWORD')}"
        f"@{facts.POSTGRES.name}:{facts.POSTGRES.port}/mlflow"
    )
    variables = {"MLFLOW_BACKEND_STORE_URI": database, **facts.MLFLOW_ENVIRONMENT}
    return f"""\
{facts.MLFLOW.name}:
  <<: *evergreen
  build: .
  command:
{render_list(command, 4)}
  environment:
{render_mapping(variables, 4)}
  volumes: ["mlflow-artifacts:{_ARTIFACTS}"]
  ports: ["127.0.0.1:{default_variable("MLFLOW_PORT", facts.MLFLOW.usual_port)}:{port}"]
  depends_on:
{render_needs(facts.MLFLOW.container_needs, 4)}
  healthcheck:
{render_http_check(facts.MLFLOW, retries=36, depth=4)}
"""


def _render_airflow_init() -> str:
    pool = f'{TRAINING_POOL} {facts.TRAINING_POOL_SLOTS} "{facts.TRAINING_POOL_MEANING}"'
    return f"""\
{facts.AIRFLOW_INIT.name}:
  <<: *airflow
  restart: "no"
  entrypoint: ["/bin/sh", "-ec"]
  command:
    - airflow db migrate && airflow pools set {pool}
  depends_on:
{render_needs(facts.AIRFLOW_INIT.container_needs, 4)}
"""


def _render_airflow_server(server: Server) -> str:
    lines = [
        f"{server.name}:",
        "  <<: *airflow",
        f"  command: {json.dumps([facts.get_airflow_component(server)])}",
    ]
    if server.port:
        published = default_variable("AIRFLOW_PORT", server.usual_port)
        lines += [
            f'  ports: ["127.0.0.1:{published}:{server.port}"]',
            "  healthcheck:",
            render_http_check(server, retries=36, depth=4),
        ]
    common = facts.AIRFLOW_DAG_PROCESSOR.container_needs
    own = {name: each for name, each in (server.container_needs).items() if name not in common}
    if own:
        lines += ["  depends_on:", "    <<: *airflow-needs", render_needs(own, 4)]
    return "\n".join(lines) + "\n"


def _render_service(use_case: UseCase) -> str:
    published = default_variable(f"{use_case.name.upper()}_PORT", use_case.serving.port)
    return f"""\
{format_container_name(use_case.name)}:
  <<: *service
  environment:
    <<: *settings
    EVERGREEN_USE_CASE: {use_case.name}
  volumes:
    # Predictions that MariaDB could not take wait here for the next start; verified models are kept here.
    - {_name_home_volume(use_case)}:{HOME}
    - api-keys:{_KEYS_FOLDER}:ro
  ports: ["127.0.0.1:{published}:{facts.SERVICE.port}"]
"""


def _render_command_line() -> str:
    return f"""\
# For commands: docker compose run --rm cli evergreen run ingest credit_score
cli:
  <<: *evergreen
  restart: "no"
  profiles: [tools]
  volumes:
    - cli-home:{HOME}
    - api-keys:{_KEYS_FOLDER}
    - ./data:{HOME}/data:ro
"""


def _render_volumes(use_cases: Iterable[UseCase]) -> str:
    homes = [_name_home_volume(each) for each in use_cases]
    servers = ("mariadb-data", "postgres-data", "mlflow-artifacts", "airflow-logs")
    names = [*homes, "cli-home", "api-keys", *servers]
    return "volumes:\n" + "".join(f"  {name}:\n" for name in names)


def _name_home_volume(use_case: UseCase) -> str:
    return f"{use_case.name.replace('_', '-')}-home"
