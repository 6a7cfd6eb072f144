"""Containers of the profile `monitoring`: the exporter, Prometheus and Grafana."""

from __future__ import annotations

from collections.abc import Sequence

from evergreen.stack.deploy import facts
from evergreen.stack.deploy.compose import compose_parts as parts
from evergreen.stack.deploy.compose.compose_parts import (
    build_needs,
    default_variable,
    offer_setting,
    require_variable,
)
from evergreen.stack.deploy.compose.container_settings import (
    format_api_keys,
    mount_use_cases,
    name_airflow_user,
)
from evergreen.stack.deploy.compose.secret_files import build_secret_path
from evergreen.stack.deploy.yaml_text import Yaml, merge_anchors

_PROFILES = ["monitoring"]


def build_exporter(folders: Sequence[str]) -> dict[str, Yaml]:
    """Publishes what no server measures; `folders` are those with declarations of one's own."""
    port = facts.EXPORTER.port
    return {
        facts.EXPORTER.name: {
            **merge_anchors(parts.OWN),
            "image": parts.AIRFLOW_IMAGE,
            "profiles": _PROFILES,
            "command": ["evergreen", "exporter", "--host", "0.0.0.0", "--port", str(port)],
            "environment": {
                **merge_anchors("settings"),
                **name_airflow_user(),
                "EVERGREEN_MARIADB_USER": facts.EXPORTER_ACCOUNT.user,
                "EVERGREEN_MARIADB_PASSWORD": require_variable(facts.EXPORTER_ACCOUNT.password_variable),
                "EVERGREEN_API_KEYS": format_api_keys(),
                "EVERGREEN_ALLOWED_HOSTS": facts.EXPORTER.name,
                "EVERGREEN_METRICS_ACCESS": offer_setting("metrics_access"),
            },
            "volumes": [f"api-keys:{parts.KEYS_FOLDER}:ro", *mount_use_cases(folders)],
            "tmpfs": [parts.build_tmpfs("/tmp", 64)],
            "networks": [parts.DEFAULT_NETWORK, parts.STORE_NETWORK],
            "mem_limit": "512m",
            "depends_on": build_needs(facts.EXPORTER.container_needs),
            "healthcheck": parts.build_http_check(facts.EXPORTER, retries=20),
        }
    }


def build_prometheus() -> dict[str, Yaml]:
    """Prometheus with the configuration and the rules of deploy/prometheus/."""
    server = facts.PROMETHEUS
    return {
        server.name: {
            **merge_anchors(parts.FOREIGN),
            "image": parts.PROMETHEUS_IMAGE,
            "profiles": _PROFILES,
            "command": [
                "--config.file=/etc/prometheus/prometheus.yml",
                "--storage.tsdb.path=/prometheus",
                f"--storage.tsdb.retention.time={default_variable('PROMETHEUS_RETENTION', '30d')}",
            ],
            # What its configuration names as `credentials_file` for the services.
            "secrets": ["prometheus_api_key"],
            "volumes": ["./deploy/prometheus:/etc/prometheus:ro", "prometheus-data:/prometheus"],
            "ports": [parts.publish_port("PROMETHEUS_PORT", server.usual_port, server.port)],
            "networks": [parts.DEFAULT_NETWORK],
            "mem_limit": "1g",
            "depends_on": build_needs(server.container_needs),
            "healthcheck": parts.build_http_check(server, retries=20, program="wget"),
        }
    }


def build_grafana() -> dict[str, Yaml]:
    """Grafana with the data sources and dashboards of deploy/grafana/."""
    server = facts.GRAFANA
    return {
        server.name: {
            **merge_anchors(parts.FOREIGN),
            "image": parts.GRAFANA_IMAGE,
            "profiles": _PROFILES,
            "environment": {
                "GF_SECURITY_ADMIN_PASSWORD__FILE": build_secret_path("grafana_password"),
                "GF_ANALYTICS_REPORTING_ENABLED": "false",
                "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
                "GF_USERS_ALLOW_SIGN_UP": "false",
                # Named in the data source of deploy/grafana/provisioning/.
                "EVERGREEN_GRAFANA_MARIADB_PASSWORD": require_variable(
                    facts.GRAFANA_ACCOUNT.password_variable
                ),
            },
            "secrets": ["grafana_password"],
            "volumes": [
                "./deploy/grafana/provisioning:/etc/grafana/provisioning:ro",
                "./deploy/grafana/dashboards:/var/lib/grafana/dashboards:ro",
                "grafana-data:/var/lib/grafana",
            ],
            "ports": [parts.publish_port("GRAFANA_PORT", server.usual_port, server.port)],
            "networks": [parts.DEFAULT_NETWORK, parts.STORE_NETWORK],
            "mem_limit": "512m",
            "depends_on": build_needs(server.container_needs),
            "healthcheck": parts.build_http_check(server, retries=20, program="wget"),
        }
    }
