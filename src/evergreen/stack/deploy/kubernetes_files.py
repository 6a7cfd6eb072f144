"""`evergreen deploy kubernetes`: a folder of manifests for the use cases that are declared here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evergreen.errors import StackError, UseCaseError
from evergreen.serving.standing import format_container_name
from evergreen.settings import Settings
from evergreen.stack.deploy.kubernetes.airflow_values import build_airflow_values
from evergreen.stack.deploy.kubernetes.platform_manifests import build_platform_manifests
from evergreen.stack.deploy.kubernetes.service_manifests import build_service_manifests
from evergreen.stack.deploy.yaml_text import Yaml, render_yaml
from evergreen.usecase import UseCase
from evergreen.usecases import PACKAGED_FOLDER, find_use_case_folders, load_use_case

_HEAD = "# Written by `evergreen deploy kubernetes` from the declarations (docs/deployment.md).\n"


@dataclass(frozen=True)
class KubernetesFiles:
    """A folder of manifests, and those of its files that were, or would be, written or removed."""

    folder: str
    files: tuple[str, ...]
    changed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Every field."""
        return asdict(self)


def render_manifests(use_cases: Sequence[UseCase], *, has_own: bool = False) -> dict[str, str]:
    """The text of each file by its name. `has_own`: some use cases are none of the package."""
    return {
        "platform.yaml": _render_objects(build_platform_manifests(use_cases, has_own=has_own)),
        **{
            f"{format_container_name(each.name)}.yaml": _render_objects(build_service_manifests(each))
            for each in use_cases
        },
        "airflow-values.yaml": _HEAD + render_yaml(build_airflow_values()),
    }


def write_kubernetes_files(
    settings: Settings, folder: Path, names: Sequence[str] = (), *, dry_run: bool = False
) -> KubernetesFiles:
    """Write the manifests of the named use cases, or of all, and remove those of services that are none.

    With `dry_run` nothing is written. Raises UseCaseError, and StackError where a file cannot be written.
    """
    places = find_use_case_folders(settings)
    use_cases = [load_use_case(name, settings) for name in names or places]
    if not use_cases:
        raise UseCaseError("no use case is declared", hint="evergreen new declares one for a table of yours")
    has_own = any(places[each.name].parent != PACKAGED_FOLDER.resolve() for each in use_cases)
    texts = render_manifests(use_cases, has_own=has_own)
    try:
        old = {path.name: path.read_text("utf-8") for path in folder.glob("*.yaml")}
        changed = [name for name, text in texts.items() if old.get(name) != text]
        removed = [name for name in old if name.startswith("service-") and name not in texts]
        if not dry_run:
            folder.mkdir(parents=True, exist_ok=True)
            for name in changed:
                (folder / name).write_text(texts[name], encoding="utf-8")
            for name in removed:
                (folder / name).unlink()
    except OSError as error:
        raise StackError(
            f"{folder} cannot be written: {error.strerror or error}", hint="choose another one with --output"
        ) from error
    return KubernetesFiles(str(folder), tuple(texts), (*changed, *removed))


def _render_objects(objects: Sequence[Mapping[str, Yaml]]) -> str:
    return _HEAD + "---\n".join(render_yaml(each) for each in objects)
