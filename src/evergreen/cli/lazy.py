"""Modules that a command needs only when it runs, imported at their first use.

A verb's module loads pandas, MLflow, CatBoost or SQLAlchemy, which takes seconds. `evergreen --help` and
`evergreen COMMAND --help` need none of them. So a module of commands imports verbs at its top like this:

    with import_on_use(__name__):
        from evergreen.loop import ingest
        from evergreen.loop.deployment import deploy

and calls `deploy.run_deploy(...)`: that first attribute imports the module. Only modules can be imported so,
not their functions.
"""

from __future__ import annotations

import builtins
import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any


class ModuleOnUse(ModuleType):
    """Stands for a module of which nothing is imported before one of its attributes is asked for.

    It holds no attributes of its own, so what a test replaces in the module is replaced here too.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def import_on_use(importer: str) -> Iterator[None]:
    """Within this block, `from PACKAGE import MODULE` in the module `importer` gives a ModuleOnUse.

    Every other import, also of other modules at the same time, is the usual one.
    """
    usual_import = builtins.__import__

    def import_name(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType | SimpleNamespace:
        """The built-in function `__import__`, but for the imports of this block."""
        if not fromlist or level or globals is None or globals.get("__name__") != importer:
            return usual_import(name, globals, locals, fromlist, level)
        return SimpleNamespace(**{attribute: ModuleOnUse(f"{name}.{attribute}") for attribute in fromlist})

    builtins.__import__ = import_name  # type: ignore[assignment]
    try:
        yield
    finally:
        builtins.__import__ = usual_import
