"""The three images: what is in the lock of each, and how Dockerfile makes them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ("airflow", "mlflow", "serving")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
GROUPS = PYPROJECT["dependency-groups"]
# FAB wants an older one than BentoML's and everybody else's.
OTHER_VERSIONS = {"airflow": {"python-dateutil"}, "mlflow": set(), "serving": set()}


def read_group(name: str) -> list[str]:
    return [
        requirement
        for each in GROUPS[name]
        for requirement in (read_group(each["include-group"]) if isinstance(each, dict) else [each])
    ]


def read_lock(name: str) -> dict[str, set[str]]:
    versions: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE):
        versions.setdefault(package, set()).add(version)
    return versions


def split_requirement(requirement: str) -> tuple[str, str]:
    """The package without extras, and the bounds of its versions."""
    match = re.fullmatch(r"([\w-]+)(?:\[[\w,]+\])?(.*)", requirement)
    assert match is not None
    return match[1].replace("mlflow-skinny", "mlflow"), match[2]


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_the_projects_bounds(image: str) -> None:
    extra = PYPROJECT["project"]["optional-dependencies"]["postgres"]
    bounds = dict(split_requirement(each) for each in [*PYPROJECT["project"]["dependencies"], *extra])
    group = dict(split_requirement(each) for each in read_group(f"image-{image}"))
    only_here = set(group) - set(bounds)
    assert only_here <= {
        *("apache-airflow-providers-celery", "apache-airflow-providers-fab"),
        *("celery", "redis"),
    }
    assert {name: each for name, each in group.items() if name in bounds} == {
        name: bounds[name] for name in group if name in bounds
    }


def test_the_image_of_the_service_has_what_the_bento_has() -> None:
    bento = yaml.safe_load((ROOT / "bentofile.yaml").read_text("utf-8"))["python"]["packages"]
    assert {split_requirement(each) for each in read_group("image-serving")} == {
        split_requirement(each) for each in bento if not each.startswith("connectorx")
    }


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_with_the_versions_of_the_tests(image: str) -> None:
    tested = read_lock("requirements.lock")
    own = read_lock(f"requirements/{image}.lock")
    different = {name for name in own if name in tested and own[name] != tested[name]}
    assert different == OTHER_VERSIONS[image]


def test_an_image_has_only_its_own_packages() -> None:
    locks = {image: set(read_lock(f"requirements/{image}.lock")) for image in IMAGES}
    assert "bentoml" not in locks["airflow"] | locks["mlflow"]
    assert not {"apache-airflow-core", "mlflow", "connectorx", "matplotlib"} & locks["serving"]
    assert not {"apache-airflow-core", "catboost", "bentoml"} & locks["mlflow"]
    assert {"httptools", "uvloop"} <= locks["serving"]
    assert {"apache-airflow-providers-fab", "celery", "catboost"} <= locks["airflow"]
    for image in IMAGES:
        assert not {"pytest", "ruff", "mypy", "hatchling"} & locks[image]


def read_stages() -> dict[str, list[str]]:
    """Dockerfile's instructions by stage, continued lines joined, without comments."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    stages: dict[str, list[str]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        if match := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            stages[match[2]] = [line]
        elif line.strip():
            stages[list(stages)[-1]].append(line)
    return stages


def test_final_stages_have_no_compiler_no_pip_and_another_user_than_root() -> None:
    stages = read_stages()
    for image in IMAGES:
        name, lines = image, []
        while name in stages:
            lines += stages[name]
            name = stages[name][0].split()[1]
        assert name == "python:3.11-slim-bookworm"
        text = "\n".join(lines)
        assert not re.search(r"\b(gcc|python3-dev|libmariadb-dev|pip|/opt/build)\b", text), image
        assert "USER 10001" in stages[image]
        assert "org.opencontainers.image.title" in text


@pytest.mark.parametrize("image", ["airflow", "serving"])
def test_code_is_the_last_layer(image: str) -> None:
    assert read_stages()[image][-1] == "COPY --from=code /opt/evergreen-code /opt/evergreen-code"
