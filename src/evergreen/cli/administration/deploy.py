"""`evergreen deploy`: files by which the platform runs elsewhere than in the embedded stack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from evergreen.cli.app import AsJson, add_command_group, err, show_facts
from evergreen.cli.lazy import import_on_use
from evergreen.settings import load_settings

with import_on_use(__name__):
    from evergreen.stack.deploy import compose_file, kubernetes_files

deploy = add_command_group(
    "deploy",
    "Files for a deployment in containers, written from the declarations of the use cases.\n\n"
    "Examples: `evergreen deploy compose` · `evergreen deploy kubernetes`",
)

UseCaseNames = Annotated[
    list[str] | None,
    typer.Option(
        "--use-case", metavar="NAME", help="Only this one; repeat it for several. Default: all declared ones."
    ),
]


@deploy.command("compose")
def write_compose(
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="Where the file goes: into the checkout's folder.")
    ] = Path("docker-compose.yml"),
    use_case: UseCaseNames = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 where the file is out of date.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write docker-compose.yml: the servers of the platform, and a service and a proxy for each use case.

    It names files of the checkout (Dockerfile, docker/, deploy/, sql/), so it belongs there. After a use case
    was added or removed: this again, then `docker compose up -d --build --wait --remove-orphans`.

    Examples: `evergreen deploy compose` · `evergreen deploy compose --use-case churn --use-case titanic` ·
    `evergreen deploy compose --check`
    """
    written = compose_file.write_compose_file(load_settings(), output, use_case or (), dry_run=check)
    verb = "is out of date" if check else "was written"
    text = f"{written.path} {verb if written.is_changed else 'is up to date'}: {', '.join(written.use_cases)}"
    show_facts(written.to_json(), as_json, lambda: Text(text, no_wrap=True, overflow="ignore"))
    for name, source in written.unreachable.items():
        err.print(
            f"{name} reads {source}, which containers do not see: declare a URL, or a path under data/",
            highlight=False,
            soft_wrap=True,
        )
    if check and written.is_changed:
        raise typer.Exit(1)


@deploy.command("kubernetes")
def write_kubernetes(
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the files go.")] = Path(
        "deploy/kubernetes"
    ),
    use_case: UseCaseNames = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 where a file is out of date.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write manifests for Kubernetes: MLflow, a service per use case, and values for Airflow's Helm chart.

    MariaDB and PostgreSQL are not among them: name yours in `platform.yaml` and in the secrets.

    Examples: `evergreen deploy kubernetes` · `evergreen deploy kubernetes --use-case churn --output k8s`
    """
    written = kubernetes_files.write_kubernetes_files(load_settings(), output, use_case or (), dry_run=check)
    changed = ", ".join(written.changed)
    verb = "is out of date" if check else "was written"
    text = f"{written.folder} {verb}: {changed}" if changed else f"{written.folder} is up to date"
    show_facts(written.to_json(), as_json, lambda: Text(text, no_wrap=True, overflow="ignore"))
    if check and written.changed:
        raise typer.Exit(1)
