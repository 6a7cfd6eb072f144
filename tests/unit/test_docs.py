"""The pages are true: their snippets run, and their links lead somewhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SNIPPET = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_what_is_there(page: Path) -> None:
    lost = [
        link for link in LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / link).exists()
    ]
    assert lost == []


@pytest.mark.parametrize(
    "snippet", [snippet for page in PAGES for snippet in SNIPPET.findall(page.read_text(encoding="utf-8"))]
)
def test_a_snippet_runs(snippet: str) -> None:
    exec(compile(snippet, "snippet", "exec"), {"__name__": "snippet"})


def test_every_room_is_on_the_map() -> None:
    """docs/architecture.md names each room of the package, and no other."""
    rooms = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (ROOT / "src" / "evergreen").iterdir()
        if not path.name.startswith("_") and path.name != "py.typed"
    }
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("| room |")[2].partition("\n\n")[0]
    told = {name for row in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    assert told == rooms


def test_every_dependency_has_its_reason() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    project = pyproject["project"]
    extras = project["optional-dependencies"].values()
    images = [group for name, group in pyproject["dependency-groups"].items() if name.startswith("image-")]
    groups = [each for group in (*extras, *images) for each in group]
    wanted = [*project["dependencies"], *(each for each in groups if isinstance(each, str))]
    _, _, section = (ROOT / "docs/architecture.md").read_text("utf-8").partition("## Dependencies")
    named = set(re.findall(r"[a-z][\w-]*", " ".join(re.findall(r"^\|([^|]*)\|", section, re.MULTILINE))))
    assert {re.split(r"[^\w-]", each)[0] for each in wanted} <= named
