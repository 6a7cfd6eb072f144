"""`python -m evergreen.serving.launch --host HOST --port PORT`: `bentoml serve` without its control socket.

Everything else is `bentoml serve`: workers, signals and draining, metrics, health, BENTOML_HOME. Options that
are not listed here are passed on to it. The stack and docker-compose.yml start services with this module.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import sys
from collections.abc import Sequence

from evergreen.errors import EvergreenError, SettingsError
from evergreen.serving.control import close_control_socket, refuse_connections_at_the_end
from evergreen.settings import load_settings

# By which BentoML is told what differs from its configuration.
_OVERRIDES = "BENTOML_CONFIG_OVERRIDES"
_OVERRIDES_HINT = 'give a JSON object, such as {"services": {"evergreen": {"traffic": {"timeout": 90}}}}'
_SERVICE_NAME = "evergreen"
SERVICE = "evergreen.serving.service:service"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Returns only an error's exit code: BentoML's command exits by itself."""
    parser = argparse.ArgumentParser(
        prog="python -m evergreen.serving.launch", description=__doc__, allow_abbrev=False
    )
    parser.add_argument(
        "--service", default=SERVICE, help="what `bentoml serve` takes, such as a bento's tag"
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=3000, help="default: %(default)s")
    options, more = parser.parse_known_args(arguments)
    try:
        _set_worker_count(load_settings().service_workers)
        close_control_socket()
        refuse_connections_at_the_end()
    except EvergreenError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.argv = [
        "bentoml",
        "serve",
        options.service,
        "--host",
        options.host,
        "--port",
        str(options.port),
        *more,
    ]
    runpy.run_module("bentoml", run_name="__main__", alter_sys=True)
    return 0


def _set_worker_count(count: int) -> None:
    """Have BentoML start so many workers, unless its own variable says how many.

    Raises SettingsError where that variable holds no JSON object.
    """
    text = os.environ.get(_OVERRIDES, "")
    try:
        # BentoML takes an empty text for none.
        overrides = json.loads(text) if text else {}
    except ValueError as error:
        raise SettingsError(f"{_OVERRIDES} is not JSON: {error}", hint=_OVERRIDES_HINT) from None
    _check_object(overrides, _OVERRIDES)
    services = overrides.setdefault("services", {})
    _check_object(services, f'"services" of {_OVERRIDES}')
    own = services.setdefault(_SERVICE_NAME, {})
    _check_object(own, f'"{_SERVICE_NAME}" of {_OVERRIDES}')
    # What is said of all services counts for this one as well.
    if services.get("workers") is None and own.get("workers") is None:
        own["workers"] = count
        os.environ[_OVERRIDES] = json.dumps(overrides)


def _check_object(value: object, name: str) -> None:
    if not isinstance(value, dict):
        raise SettingsError(f"{name} is not a JSON object", hint=_OVERRIDES_HINT)


if __name__ == "__main__":
    sys.exit(main())
