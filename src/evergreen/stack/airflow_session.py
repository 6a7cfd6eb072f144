"""HTTP to Airflow's API server: signing in, sending a request, and its refusals as errors."""

from __future__ import annotations

import threading
from typing import Any

import httpx

from evergreen.errors import OrchestratorError, OrchestratorUnreachable
from evergreen.settings import Settings


class AirflowSession:
    """A connection to the Airflow of the settings. It signs in before the first request, and again when the
    token has expired.

    Every method raises OrchestratorError; OrchestratorUnreachable when Airflow does not answer.
    """

    def __init__(self, settings: Settings, *, transport: httpx.BaseTransport | None = None) -> None:
        self._settings = settings
        self.url = settings.airflow_url.rstrip("/")
        # No proxy: Airflow is on this machine or in this cluster.
        self._client = httpx.Client(timeout=30.0, trust_env=False, transport=transport)
        self._token = ""
        self._lock = threading.Lock()

    def get_json(self, path: str, **params: Any) -> Any:
        """The answer to a GET of `path` under /api/v2, which must succeed."""
        return self.parse_answer(self.send("GET", path, params=params), f"reading {path}")

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request for `path` under /api/v2 and return the answer, whatever its status."""
        if not self._token:
            self._sign_in()
        response = self._request(method, f"/api/v2/{path}", **options)
        if response.status_code == 401:  # the token has expired, or Airflow has new keys
            self._sign_in()
            response = self._request(method, f"/api/v2/{path}", **options)
        return response

    def parse_answer(self, response: httpx.Response, action: str) -> Any:
        """The JSON of a successful answer; `action` names in the error what was refused."""
        if response.is_success:
            return _parse_json(response, action)
        try:
            reason = response.json().get("detail", response.text)
        except ValueError:
            reason = response.text
        raise OrchestratorError(
            f"Airflow refused {action} ({response.status_code}): {str(reason)[:500]}",
            hint="see evergreen status and Airflow's own pages for what it knows",
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _sign_in(self) -> None:
        with self._lock:
            response = self._request(
                "POST",
                "/auth/token",
                json={
                    "username": self._settings.airflow_user,
                    "password": self._settings.airflow_password.get_secret_value(),
                },
            )
            if response.status_code not in (200, 201):
                raise OrchestratorError(
                    f"Airflow at {self.url} refuses the user {self._settings.airflow_user!r}",
                    hint="set EVERGREEN_AIRFLOW_USER and EVERGREEN_AIRFLOW_PASSWORD to this Airflow's",
                )
            self._token = str(_parse_json(response, "signing in")["access_token"])

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        headers["Accept"] = "application/json"
        try:
            return self._client.request(method, self.url + path, headers=headers, **options)
        except httpx.HTTPError as error:
            raise OrchestratorUnreachable(
                f"Airflow does not answer at {self.url}: {error}",
                hint="is the stack up? evergreen status shows it, evergreen up starts it",
            ) from None


def _parse_json(response: httpx.Response, action: str) -> Any:
    """The body of an answer. Raises OrchestratorError for what is no JSON, such as a proxy's sign-in page."""
    try:
        return response.json()
    except ValueError:
        raise OrchestratorError(
            f"{action}: what answers at {response.url} is not Airflow's REST API",
            hint="set EVERGREEN_AIRFLOW_URL to Airflow's API server itself",
        ) from None
