"""A home as the embedded stack leaves it, made in seconds: MariaDB with the toy's history, MLflow, Airflow.

MariaDB is the stack's own kind. MLflow and Airflow are their databases, without a server.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from mlflow import MlflowClient
from pydantic import SecretStr

from evergreen.registry import ledger
from evergreen.registry.lock import lock_use_case
from evergreen.settings import Settings
from evergreen.stack.processes.home import STACK_LOCK, open_lock_file
from evergreen.stack.processes.ports import find_free_port
from evergreen.stack.servers.keys import load_or_create_keys
from evergreen.stack.servers.mariadb import build_stack_server
from evergreen.store.connection.database import dispose_engines, get_engine
from support.own_servers import WITHOUT_SYNC, Database, make_new_data

# Files of a home beside its databases, by their paths.
HOME_FILES = {
    "mlflow/artifacts/1/models/m-1/artifacts/model.cbm": "a model",
    "predictions/toy-1ab/00000001.ready": "a segment",
    "predictions/toy-1ab/lock": "",
    "api-keys": "# digests\n",
    "airflow/migrated": "3.3.2",
    "cache/toy.arrow": "made anew",
    "logs/mariadb.log": "made anew",
    "stack.env": "EVERGREEN_MARIADB_PORT=1\n",
}


@dataclass
class StackHome:
    """A home, and its MariaDB while that runs."""

    folder: Path
    use_cases: Path

    @property
    def settings(self) -> Settings:
        """Settings on this home's servers."""
        server = build_stack_server(self.folder, 0, "")
        return Settings(
            home=self.folder,
            use_cases=str(self.use_cases),
            mariadb_socket=server.socket,
            mariadb_user=server.user,
            mariadb_password=SecretStr(load_or_create_keys(self.folder).mariadb_password),
            mariadb_database=server.database,
            mlflow_tracking_uri=f"sqlite:///{self.folder / 'mlflow' / 'mlflow.db'}",
            threads=1,
        )

    @contextmanager
    def running_mariadb(self) -> Iterator[sa.Engine]:
        """The platform's database while this home's MariaDB runs, as the running stack's does."""
        keys = load_or_create_keys(self.folder)
        server = build_stack_server(self.folder, find_free_port(), keys.mariadb_password)
        server.prepare()
        if not server.initialised:
            shutil.copytree(make_new_data(), server.data)
        database = Database(server, WITHOUT_SYNC)
        settings = self.settings
        try:
            database.start()
            yield get_engine(settings)
        finally:
            dispose_engines(settings)
            database.stop()

    @contextmanager
    def locked_stack(self) -> Iterator[None]:
        """Meanwhile the stack of this home counts as up."""
        handle = open_lock_file(self.folder, STACK_LOCK)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def promote_next(self, engine: sa.Engine, use_case_name: str = "toy") -> int:
        """Register one more version of the toy in MLflow, and make it champion as the gate does."""
        uri = self.settings.mlflow_tracking_uri
        client = MlflowClient(uri, uri)
        if not client.search_registered_models(f"name = '{use_case_name}'"):
            client.create_registered_model(use_case_name)
        with lock_use_case(engine, use_case_name):
            version = int(client.create_model_version(use_case_name, source="mlflow-artifacts:/1").version)
            ledger.append_entry(
                engine,
                use_case_name=use_case_name,
                action="promote",
                from_version=version - 1 or None,
                to_version=version,
                training_run_id=None,
                actor="gate",
                reason="it's better; 50 %\nsurely",
            )
            client.set_registered_model_alias(use_case_name, "champion", str(version))
        return version

    def write_files(self, contents: Mapping[str, str]) -> None:
        """Write files of the home, by their paths."""
        for path, text in contents.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)

    def make_airflow_database(self) -> None:
        """A database in WAL mode, whose rows stand in the log beside it."""
        path = self.folder / "airflow" / "airflow.db"
        path.parent.mkdir(exist_ok=True)
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE dag_run (id INTEGER PRIMARY KEY, state TEXT)")
            connection.execute("INSERT INTO dag_run VALUES (1, 'success')")


def read_sqlite(path: Path, statement: str) -> list[Any]:
    """The rows of a SELECT."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def read_all_versions(engine: sa.Engine) -> dict[str, list[str]]:
    """Every row of every table, those of the ledger's and all past versions of versioned ones included."""
    with engine.connect() as connection:
        tables = connection.execute(
            sa.text(
                "SELECT table_schema, table_name, table_type FROM information_schema.tables"
                " WHERE table_schema IN ('evergreen', 'evergreen_ledger', 'credit_bank')"
            )
        ).all()
        return {
            f"{schema}.{name}": sorted(
                map(
                    repr,
                    connection.execute(
                        sa.text(
                            f"SELECT *, row_start, row_end FROM `{schema}`.`{name}` FOR SYSTEM_TIME ALL"
                            if kind == "SYSTEM VERSIONED"
                            else f"SELECT * FROM `{schema}`.`{name}`"
                        )
                    ),
                )
            )
            for schema, name, kind in tables
        }
