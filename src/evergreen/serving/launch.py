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

from evergreen.errors import EvergreenError
from evergreen.serving.control import close_control_socket, refuse_connections_at_the_end
from evergreen.settings import load_settings

# By which BentoML is told what differs from its configuration.
_OVERRIDES = "BENTOML_CONFIG_OVERRIDES"
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
    # What somebody has told BentoML by its own variables goes before.
    os.environ.setdefault(_OVERRIDES, json.dumps({"services": {"evergreen": {"workers": count}}}))


if __name__ == "__main__":
    sys.exit(main())
