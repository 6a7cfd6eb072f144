"""The addresses of MLflow's runs of checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from evergreen.registry.experiments.experiment import format_run_address
from evergreen.settings import Settings


@pytest.mark.parametrize(
    ("tracking_uri", "url", "address"),
    [
        (
            "http://user:secret@mlflow:5000/",
            "",
            "http://mlflow:5000/#/experiments/7/runs/r1/artifacts/report.html",
        ),
        (
            "http://mlflow:5000",
            "https://ml.example/",
            "https://ml.example/#/experiments/7/runs/r1/artifacts/report.html",
        ),
        ("sqlite:///mlflow.db", "https://ml.example", ""),
    ],
)
def test_an_address_is_one_for_browsers_and_holds_no_password(
    tmp_path: Path, tracking_uri: str, url: str, address: str
) -> None:
    settings = Settings(home=tmp_path, mlflow_tracking_uri=tracking_uri, mlflow_url=url)
    assert format_run_address(settings, "7", "r1", "report.html") == address
    if address:
        assert format_run_address(settings, "7", "r1") == address.removesuffix("/artifacts/report.html")
