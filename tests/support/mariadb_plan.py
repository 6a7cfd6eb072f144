"""The embedded stack's own MariaDB and nothing else, for the real supervisor: up in seconds."""

from __future__ import annotations

from evergreen.stack.processes.child import ChildSpec
from evergreen.stack.servers.server_list import EvergreenPlan


class MariaDBPlan(EvergreenPlan):
    """The settings, keys and ports of the whole stack, and of its servers MariaDB with its tables."""

    def services(self) -> list[ChildSpec]:
        """None."""
        return []

    def _mlflow(self) -> list[ChildSpec]:
        return []

    def _airflow(self) -> list[ChildSpec]:
        return []
