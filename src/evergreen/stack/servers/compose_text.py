"""Pieces of docker-compose.yml as text: lists, mappings, health checks, and variables of .env.

`depth` is the number of spaces before each line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from textwrap import indent

from evergreen.settings import Settings
from evergreen.stack.servers.deployment import Server

# A text that YAML reads back as this very text without quotes.
_PLAIN = re.compile(r"[A-Za-z/$][^#'\"\s]*(?:(?<!:) [^#'\"\s]+)*")
_NOT_TEXT = frozenset({"true", "false", "yes", "no", "on", "off", "null"})


def render_http_check(server: Server, *, retries: int, depth: int) -> str:
    """A health check by GET from within the server's container."""
    url = f"http://127.0.0.1:{server.port}{server.health_path}"
    text = f"""\
test: {json.dumps(["CMD", "curl", "--fail", "--silent", url])}
interval: 5s
timeout: 5s
retries: {retries}"""
    return indent(text, " " * depth)


def render_needs(needs: Mapping[str, str], depth: int) -> str:
    """What a container waits for: other containers, each with a condition."""
    return "\n".join(f"{' ' * depth}{name}: {{condition: {what}}}" for name, what in needs.items())


def render_mapping(values: Mapping[str, str], depth: int) -> str:
    """Names and values, a line each."""
    return "\n".join(f"{' ' * depth}{name}: {_quote_text(value)}" for name, value in values.items())


def render_list(values: Iterable[str], depth: int) -> str:
    """Values that need no quotes, a line each."""
    return "\n".join(f"{' ' * depth}- {value}" for value in values)


def _quote_text(value: str) -> str:
    """A text as YAML: quoted where YAML would take it for a number, a boolean or a structure."""
    if value.startswith("{"):
        return f"'{value}'"
    return value if _PLAIN.fullmatch(value) and value not in _NOT_TEXT else json.dumps(value)


def default_variable(name: str, default: str | int | float) -> str:
    """A variable of .env, or a value where .env has none."""
    return f"${{{name}:-{default}}}"


def require_variable(name: str) -> str:
    """A variable of .env without which docker compose refuses to start."""
    return f"${{{name}:?run `make env` first}}"


def offer_setting(name: str) -> str:
    """The variable of .env for one of Evergreen's settings, or the setting's default."""
    return default_variable(f"EVERGREEN_{name.upper()}", Settings.model_fields[name].default)


def format_url(server: Server) -> str:
    """Where other containers reach a server."""
    return f"http://{server.name}:{server.port}"
