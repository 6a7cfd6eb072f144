"""Fetching a run's file over REST: None where it is absent, an error where the server fails."""

from __future__ import annotations

import httpx
import pytest

from evergreen.errors import RegistryError, RegistryUnreachable
from evergreen.registry.models import fetch_run_file
from evergreen.settings import Settings

LIST, FILE = "/api/2.0/mlflow/artifacts/list", "/get-artifact"
PRESENT = {"files": [{"path": "holdout_model/model.cb"}]}


@pytest.fixture
def fetched(monkeypatch, tmp_path):
    """A function that fetches holdout_model/model.cb from a server with these answers by path."""

    def fetch(answers):
        def respond(transport, request):
            status, body = answers[request.url.path]
            content = {"content": body} if isinstance(body, bytes) else {"json": body}
            return httpx.Response(status, request=request, **content)

        monkeypatch.setattr(httpx.HTTPTransport, "handle_request", respond)
        settings = Settings(mlflow_tracking_uri="http://mlflow.example")
        return fetch_run_file(settings, "abc", "holdout_model/model.cb", tmp_path)

    return fetch


def test_a_file_is_downloaded(fetched):
    path = fetched({LIST: (200, PRESENT), FILE: (200, b"trees")})
    assert path.read_bytes() == b"trees"


@pytest.mark.parametrize("listed", [{}, {"files": [{"path": "holdout_model/other"}]}])
def test_a_file_that_is_not_there_is_none(fetched, listed):
    assert fetched({LIST: (200, listed)}) is None


@pytest.mark.parametrize("answers", [{LIST: (500, {})}, {LIST: (200, PRESENT), FILE: (500, {})}])
def test_a_server_that_fails_is_not_taken_for_an_absent_file(fetched, answers):
    with pytest.raises(RegistryUnreachable, match="MLflow answered 500"):
        fetched(answers)


def test_an_unknown_run_is_said(fetched):
    with pytest.raises(RegistryError, match=r"404 .*: no such run"):
        fetched({LIST: (404, {"message": "no such run"})})
