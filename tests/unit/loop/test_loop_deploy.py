"""Deploy's judgement: where it looks for a service, how long, and what it accepts."""

from __future__ import annotations

import pytest

from evergreen.errors import ServiceUnreachable
from evergreen.loop.deployment import deploy
from evergreen.serving.probe import ProbeDocument
from evergreen.settings import Settings


def test_a_clean_probe_is_accepted_without_touching_anything() -> None:
    clean: ProbeDocument = {"model_version": 3, "rows": 100, "errors": 0, "mismatches": 0, "examples": []}
    nowhere = Settings(mariadb_port=1, mlflow_tracking_uri="http://127.0.0.1:9")
    assert deploy.finalize_deployment(nowhere, "parcel", clean) == {"model_version": 3, "rows": 100}


def test_an_unknown_address_says_what_to_set() -> None:
    with pytest.raises(ServiceUnreachable, match="parcel") as caught:
        deploy.wait_until_healthy(Settings(), "parcel")
    assert "EVERGREEN_SERVICE_URLS" in caught.value.hint


def test_a_service_that_never_comes_is_given_up_in_time() -> None:
    settings = Settings(service_urls={"parcel": "http://127.0.0.1:9"})
    with pytest.raises(ServiceUnreachable, match=r"127\.0\.0\.1:9"):
        deploy.wait_until_healthy(settings, "parcel", timeout_seconds=0.1)
