"""Declarations that several collectors load at the same moment."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from evergreen.exporter.declarations import load_declarations
from evergreen.settings import Settings
from support import toy_declaration


def test_threads_that_load_a_use_case_at_once_all_get_it(tmp_path: Path) -> None:
    folder = tmp_path / "usecases" / "toy"
    folder.mkdir(parents=True)
    text = Path(toy_declaration.__file__).read_text("utf-8")
    # The others begin to load it while the first one has not ended.
    (folder / "__init__.py").write_text(f"import time\ntime.sleep(0.2)\n{text}", "utf-8")
    settings = Settings(home=tmp_path / "home", use_cases=str(tmp_path / "usecases"))
    sys.modules.pop("evergreen_usecases_toy", None)
    try:
        with ThreadPoolExecutor(4) as pool:
            loaded = list(pool.map(lambda _: load_declarations(settings), range(4)))
    finally:
        sys.modules.pop("evergreen_usecases_toy", None)
    assert [sorted(faults) for _, faults in loaded] == [[]] * 4
    assert all("toy" in use_cases for use_cases, _ in loaded)
