"""What people see of lines whose moments differ."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, RenderableType

from evergreen.cli.tables.registry_tables import ChampionsAt, LedgerPage, render_champions_at, render_ledger
from evergreen.registry.ledger import Entry

MARCH = datetime(2026, 3, 1, 10, tzinfo=UTC)
JULY = datetime(2026, 7, 1, 12, tzinfo=UTC)


def shown(view: RenderableType) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(view)
    return capture.get()


def line(**change: Any) -> Entry:
    fields: dict[str, Any] = {
        "id": 1,
        "at": JULY,
        "recorded_at": JULY,
        "use_case": "toy",
        "action": "promote",
        "from_version": 1,
        "to_version": 7,
        "training_run_id": None,
        "mlflow_run_id": None,
        "actor": "ann@office",
        "reason": "good",
        "verdict_text": None,
        **change,
    }
    return Entry(**fields)


def test_a_misdated_line_shows_when_it_was_written_and_others_do_not() -> None:
    page = LedgerPage("toy", protected=True, warnings=(), lines=(line(at=MARCH),))
    assert "written 2026-07-01 12:00:00" in shown(render_ledger(page))
    plain = shown(render_ledger(replace(page, lines=(line(), line(recorded_at=None)))))
    assert "2026-07-01 12:00:00" in plain
    assert "written" not in plain


def test_what_was_dated_back_is_told_beside_the_answer() -> None:
    later = (line(at=MARCH),)
    served = line(to_version=3, at=MARCH, recorded_at=MARCH)
    nobody = shown(render_champions_at(ChampionsAt(MARCH, (), later)))
    somebody = shown(render_champions_at(ChampionsAt(MARCH, (served,), later)))
    assert "No use case had a champion" in nobody
    assert "v3" in somebody
    for text in (nobody, somebody):
        assert "Not heeded: a line that was written at 2026-07-01 12:00:00 UTC says that toy had v7" in text
    assert "Not heeded" not in shown(render_champions_at(ChampionsAt(MARCH, (served,), ())))


def test_a_refused_version_is_a_line_like_others() -> None:
    refusal = line(action="refuse", from_version=2, to_version=3, actor="service", reason="another file")
    text = shown(render_ledger(LedgerPage("toy", protected=True, warnings=(), lines=(refusal,))))
    (row,) = [row for row in text.splitlines() if "refuse" in row]
    assert row.split() == ["2026-07-01", "12:00:00", "service", "refuse", "v2", "v3", "another", "file"]
