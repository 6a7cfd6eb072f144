"""A stack of small Python web servers, run by the real supervisor and warden: fast enough to break at will.

What is to go wrong stands in `faults.json` of the home: {"fail": [...], "escape": true, ...}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from evergreen.errors import MissingProgram
from evergreen.stack.processes.child import ChildSpec
from evergreen.stack.processes.ports import assign_ports, find_free_port
from evergreen.stack.servers import probes

SERVER = """
import http.server, os, sys, time
if "escape" in sys.argv[2:]:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            import signal
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        os._exit(0)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer.allow_reuse_address = True
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class FakePlan:
    """`database` first, then a one-off `tables`, then `web`; `service-*` when the faults file names them."""

    def __init__(self, home: Path, previous_ports: dict[str, int]) -> None:
        self.home = home
        self.ports: dict[str, int] = {}
        self.problems: list[str] = []
        self._previous = previous_ports

    def servers(self) -> list[ChildSpec]:
        faults = self._faults()
        if faults.get("missing"):
            raise MissingProgram("mariadbd is not installed", hint="install it")
        usual = faults.get("ports") or {"database": find_free_port(), "web": find_free_port()}
        # "fixed" ports are used whoever has them, as if they had been taken a moment after they were chosen.
        self.ports = assign_ports(usual, self._previous) | faults.get("fixed", {})
        return [
            self._server("database", stop_last=True),
            ChildSpec(
                name="tables",
                command=(sys.executable, "-S", "-c", "print('made the tables')"),
                needs=("database",),
                one_off=True,
            ),
            self._server("web", needs=("tables",)),
        ]

    def services(self) -> list[ChildSpec]:
        names = self._faults().get("services", [])
        new = {name: find_free_port() for name in names if name not in self.ports}
        self.ports = {**self.ports, **new}
        return [self._server(name, optional=True) for name in names]

    def tidy(self) -> None:
        """Leaves a file that says so."""
        (self.home / "tidied").touch()

    def _server(
        self, name: str, needs: tuple[str, ...] = (), *, stop_last: bool = False, optional: bool = False
    ) -> ChildSpec:
        faults = self._faults()
        port = self.ports[name]
        escape = ["escape"] if faults.get("escape") else []
        command = [sys.executable, "-S", "-c", SERVER, str(port), *escape]
        if name in faults.get("fail", []):
            command = [sys.executable, "-S", "-c", "raise SystemExit('no room at the inn')"]
        return ChildSpec(
            name=name,
            command=tuple(command),
            probe=probes.build_http_probe(port, "/"),
            port=port,
            url=f"http://127.0.0.1:{port}",
            needs=needs,
            start_seconds=30.0,
            stop_seconds=3.0,
            stop_last=stop_last,
            optional=optional,
        )

    def _faults(self) -> dict[str, Any]:
        path = self.home / "faults.json"
        return json.loads(path.read_text()) if path.exists() else {}
