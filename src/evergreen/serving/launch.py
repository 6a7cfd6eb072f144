"""`python -m evergreen.serving.launch --host HOST --port PORT`: `bentoml serve` without its control socket.

All else is `bentoml serve`: workers, signals and draining, metrics, health, BENTOML_HOME. Options that are
not named here are its own and are passed on. The stack and docker-compose.yml start services so.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Sequence

from evergreen.errors import EvergreenError
from evergreen.serving.control import close_control_socket

SERVICE = "evergreen.serving.service:service"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Returns an error's exit code only: BentoML's command exits itself."""
    parser = argparse.ArgumentParser(
        prog="python -m evergreen.serving.launch", description=__doc__, allow_abbrev=False
    )
    parser.add_argument(
        "--service", default=SERVICE, help="what `bentoml serve` takes, such as a bento's tag"
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=3000, help="default: %(default)s")
    chosen, more = parser.parse_known_args(arguments)
    try:
        close_control_socket()
    except EvergreenError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.argv = ["bentoml", "serve", chosen.service, "--host", chosen.host, "--port", str(chosen.port), *more]
    runpy.run_module("bentoml", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
