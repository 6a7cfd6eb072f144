"""`bentoml build` from the repository's root, and the bento serves: from its own sources, small, offline."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from evergreen.registry.succession.aliases import set_champion
from evergreen.serving.http.examples import draw_requests
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.prediction_log import count_predictions
from evergreen.store.tables.create import create_tables
from evergreen.usecases import load_use_case
from support.listening import assert_listens_only_on
from support.serving_world import World, environment, register_models, running
from support.waiting import eventually

REPOSITORY = Path(__file__).resolve().parents[3]
NO_NETWORK = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "UV_OFFLINE": "1"}


def test_the_bentos_packages_have_the_projects_bounds() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    bento = yaml.safe_load((REPOSITORY / "bentofile.yaml").read_text())["python"]["packages"]
    assert bento
    assert set(bento) <= set(project)


@pytest.mark.slow
def test_the_built_bento_serves(made: World, tmp_path: Path) -> None:
    home = {"BENTOML_HOME": str(tmp_path / "bentos")}
    built = subprocess.run(
        [sys.executable, "-m", "bentoml", "build", "--output", "tag"],
        cwd=REPOSITORY,
        env={**environment(made.settings, "", tmp_path), **home, **NO_NETWORK},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    tag = built.stdout.strip().splitlines()[-1].removeprefix("__tag__:")
    bento = tmp_path / "bentos" / "bentos" / tag.replace(":", "/")
    files = {str(path.relative_to(bento)) for path in bento.rglob("*") if path.is_file()}
    assert {"src/evergreen/serving/service.py", "src/evergreen/usecases/titanic/__init__.py"} <= files
    assert any(name.startswith("src/sql/") for name in files)
    assert not [
        name for name in files if any(part in name for part in ("tests/", ".venv", ".evergreen", "pycache"))
    ]
    assert sum((bento / name).stat().st_size for name in files) < 4_000_000

    # The bento's own copy answers, not this checkout's.
    declaration = bento / "src/evergreen/usecases/titanic/__init__.py"
    declaration.write_text(declaration.read_text().replace("Titanic survival", "Titanic from a bento"))
    titanic = load_use_case("titanic", made.settings)
    create_tables(get_engine(made.settings), titanic)
    (version,) = register_models(made.settings, titanic, tmp_path, [1])
    set_champion(made.settings, "titanic", version)
    plain = ("bentoml", "serve", tag)
    with running(made, tmp_path / "run", use_case_name="titanic", command=plain, more=home) as service:
        assert_listens_only_on(service)
        with service.client() as client:
            assert client.metadata()["title"] == "Titanic from a bento"
            answers = client.predict_batch(draw_requests(titanic, 25, seed=1))
            assert {answer["model_version"] for answer in answers} == {version}
        eventually(lambda: count_predictions(get_engine(made.settings), titanic).total == 25)
