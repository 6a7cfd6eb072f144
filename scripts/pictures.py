"""Take the README's pictures from the running stack, in headless Chromium.

Needs Debian's `chromium` and a stack on which `make demo` ran:

    .venv/bin/python scripts/pictures.py
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from evergreen.registry.champion import require_champion
from evergreen.registry.models import fetch_run_file
from evergreen.settings import Settings, load_settings
from evergreen.training.tracking.training_runs import CARD_FILE

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SIZE = {"width": 1440, "height": 850}


def take_airflow_picture(browser: Browser, settings: Settings, use_case_name: str) -> None:
    """Airflow's page of the DAG that trains, after signing in."""
    page = browser.new_page(viewport=SIZE)
    page.goto(settings.airflow_url)
    page.locator("input[name=username]").fill(settings.airflow_user)
    page.locator("input[name=password]").fill(settings.airflow_password.get_secret_value())
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("Dags", exact=True).first.wait_for()
    page.goto(f"{settings.airflow_url}/dags/{use_case_name}__train")
    page.get_by_text("promote").first.wait_for()
    page.wait_for_timeout(3000)
    page.screenshot(path=PICTURES / "airflow.png")


def take_mlflow_picture(browser: Browser, settings: Settings, use_case_name: str) -> None:
    """MLflow's page of the registered model."""
    # MLflow's pages ask the internet and never become idle: wait for what they show instead.
    page = browser.new_page(viewport=SIZE)
    page.goto(f"{settings.mlflow_tracking_uri}/#/models/{use_case_name}", wait_until="domcontentloaded")
    page.get_by_text("champion").first.wait_for()
    assistant = page.get_by_role("button", name="Close")
    if assistant.count():
        assistant.first.click()
    page.wait_for_timeout(2000)
    page.screenshot(path=PICTURES / "mlflow.png")


def take_card_picture(browser: Browser, settings: Settings, use_case_name: str) -> None:
    """The upper part of the champion's model card, which is a file of its MLflow run."""
    run = require_champion(settings, use_case_name).run_id
    with tempfile.TemporaryDirectory() as folder:
        file = fetch_run_file(settings, run, CARD_FILE, Path(folder))
        assert file is not None
        page = browser.new_page(viewport={"width": 1120, "height": 1180})
        page.goto(file.as_uri())
        page.screenshot(path=PICTURES / "model-card.png")


def take_openapi_picture(browser: Browser, settings: Settings, use_case_name: str) -> None:
    """The page of the service's API."""
    page = browser.new_page(viewport=SIZE)
    page.goto(settings.service_urls[use_case_name])
    page.get_by_text("/predict_by_key").first.wait_for()
    page.screenshot(path=PICTURES / "openapi.png")


def main() -> int:
    """Take every picture; 1 without Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.stderr.write("chromium is not installed: apt-get install chromium\n")
        return 1
    settings = load_settings()
    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for take_picture in (
            take_airflow_picture,
            take_mlflow_picture,
            take_card_picture,
            take_openapi_picture,
        ):
            take_picture(browser, settings, "credit_score")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
