"""Replace docker-compose.yml with what src/evergreen/stack/servers/compose.py writes:

.venv/bin/python scripts/write-compose.py
"""

from __future__ import annotations

from pathlib import Path

from evergreen.stack.servers.compose import render_compose

COMPOSE_FILE = Path(__file__).resolve().parents[1] / "docker-compose.yml"

if __name__ == "__main__":
    COMPOSE_FILE.write_text(render_compose(), encoding="utf-8")
