"""What a generator's process is asked to do: a JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Plan:
    """Load on one path of a server.

    `bodies` is a file with a JSON list of texts, sent in turn. A closed loop (`rate` 0) keeps each connection
    busy; an open one sends at that many requests a second. `warm_seconds` come before the counted `seconds`.
    `result` is where the figures go, and `ids` a file for the prediction ids of every 200 of the round, those
    of the warming up included; "" keeps none. `answers` is a file for the bodies of those 200s, one a line.

    `until_gone`: the server may end meanwhile. The round is over as soon as it takes no connection any more.
    """

    host: str
    port: int
    path: str
    bodies: str
    connections: int
    seconds: float
    warm_seconds: float
    result: str
    ids: str = ""
    rate: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()
    answers: str = ""
    until_gone: bool = False

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> Plan:
        """Raises KeyError or TypeError for another file than `write` makes."""
        values = json.loads(file.read_text(encoding="utf-8"))
        return cls(**{**values, "headers": tuple((name, value) for name, value in values["headers"])})

    def build_requests(self) -> list[bytes]:
        """Each body as the bytes of one request of a connection that stays open."""
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            "Content-Type: application/json",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        bodies = [text.encode() for text in json.loads(Path(self.bodies).read_text(encoding="utf-8"))]
        return [
            "\r\n".join([*lines, f"Content-Length: {len(body)}", "\r\n"]).encode("ascii") + body
            for body in bodies
        ]
