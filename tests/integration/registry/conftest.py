"""Fixtures for the tests of the registry."""

from __future__ import annotations

import pytest

from support.champions import promote_all
from support.serving_world import World


@pytest.fixture
def line_up(made: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Both versions were promoted one after the other; no address of a service is known."""
    monkeypatch.setattr(made.settings, "service_urls", {})
    promote_all(made)
    return made
