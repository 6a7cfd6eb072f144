"""Typed settings, read from the environment (prefix EVERGREEN_) and from the running stack's file.

The embedded stack writes `stack.env` into its home; the environment takes precedence over that file. A secret
may stand in a file of its own that the environment names: EVERGREEN_MARIADB_PASSWORD_FILE for
EVERGREEN_MARIADB_PASSWORD, as secrets of Docker and Kubernetes are mounted. Nothing
else in Evergreen reads environment variables, except Airflow's AIRFLOW_CONN_* for foreign databases and
sudo's SUDO_UID (`trust.py`). A home that belongs to another user is refused before its file is read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as MalformedSource

from evergreen.errors import SettingsError
from evergreen.trust import TRUSTED_FOLDERS_VARIABLE, Trust, build_trust

STACK_ENV = "stack.env"
_SERVER_VARIABLES = ("EVERGREEN_MARIADB_HOST", "EVERGREEN_MARIADB_PORT")
# A report shows the checks of the thirty days before it.
_LEAST_CHECK_DAYS = 31


class SecretFiles(PydanticBaseSettingsSource):
    """The values of secrets whose files the environment names by EVERGREEN_<NAME>_FILE.

    A line break at the end of a file does not belong to the secret. `api_keys` has no such file: its setting
    `api_keys_file` is the file that `evergreen keys` keeps.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[str | None, str, bool]:
        """The secret of one field, or None where no file is named for it.

        Raises SettingsError where the environment has the secret itself as well, and where the file cannot be
        read as text.
        """
        variable = f"EVERGREEN_{field_name.upper()}"
        path = os.environ.get(f"{variable}_FILE", "")
        if field.annotation is not SecretStr or f"{field_name}_file" in Settings.model_fields or not path:
            return None, field_name, False
        if os.environ.get(variable):
            raise SettingsError(
                f"both {variable} and {variable}_FILE are set", hint="set one of them, and unset the other"
            )
        try:
            return Path(path).read_text("utf-8").rstrip("\r\n"), field_name, False
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise SettingsError(
                f"the file {path} of {variable}_FILE cannot be read: {reason}",
                hint="name a file with the secret that this user may read",
            ) from None

    def __call__(self) -> dict[str, Any]:
        """The secrets that have a file, by field."""
        values = {name: self.get_field_value(field, name)[0] for name, field in Settings.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None}


class Settings(BaseSettings):
    """The values that differ between installations, each by the variable EVERGREEN_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="EVERGREEN_", extra="ignore")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Where values come from, the first of them counting: the files of secrets before the environment."""
        del file_secret_settings  # one folder with a file per setting, which nothing here names
        return init_settings, SecretFiles(settings_cls), env_settings, dotenv_settings

    home: Path = Field(Path(".evergreen"), description="Where the embedded stack keeps its data and logs.")
    use_cases: str = Field("usecases", description="Folders with your own use cases, separated by ':'.")
    trusted_folders: str = Field(
        "",
        description="Folders of other users to trust, separated by ':', or *; only from the environment.",
    )
    dags: Path | None = Field(
        None, description="The folder with Airflow's DAG files; unset: Evergreen's own."
    )
    use_case: str = Field("", description="The use case that this prediction service serves.")
    sources: dict[str, str] = Field(
        default_factory=dict,
        description='File paths or URLs by use case, instead of the declared ones: {"titanic": "train.csv"}.',
    )
    mariadb_host: str = Field("127.0.0.1", description="Where the feature store and the logs are.")
    mariadb_port: int = Field(3306, description="Its port.")
    mariadb_socket: Path | None = Field(
        None, description="Its Unix socket; where there is one, host, port and TLS are not used."
    )
    mariadb_tls: bool = Field(
        False, description="Whether the server must speak TLS and prove that it is the named host."
    )
    mariadb_tls_ca: Path | None = Field(
        None, description="The authority that signed its certificate (a PEM file); to name one requires TLS."
    )
    mariadb_local_infile: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether ingests and the prediction log may use LOAD DATA LOCAL, by which the server can"
        " read any file; auto: where the server is known for sure, by its socket or by TLS.",
    )
    mariadb_user: str = Field("evergreen", description="The platform's own database user.")
    mariadb_password: SecretStr = Field(SecretStr(""), description="Its password.")
    mariadb_database: str = Field("evergreen", description="The platform's own database.")
    mlflow_tracking_uri: str = Field("http://127.0.0.1:5000", description="MLflow's tracking server.")
    mlflow_url: str = Field(
        "", description="MLflow's address for people's browsers, where it differs from the tracking URI."
    )
    airflow_url: str = Field("http://127.0.0.1:8080", description="Airflow's API server.")
    airflow_user: str = Field("admin", description="The user that triggers DAGs.")
    airflow_password: SecretStr = Field(SecretStr(""), description="That user's password.")
    service_urls: dict[str, str] = Field(
        default_factory=dict,
        description='The prediction services by use case: {"credit_score": "http://127.0.0.1:3000"}.',
    )
    api_key: SecretStr = Field(
        SecretStr(""),
        description="The key by which Evergreen's own calls sign in at its services, which accept it.",
    )
    api_keys: SecretStr = Field(
        SecretStr(""),
        description="Keys that a service accepts, separated by commas: NAME:KEY, or NAME:sha256:DIGEST.",
    )
    api_keys_file: Path | None = Field(
        None, description="The file that `evergreen keys` keeps; unset: api-keys in the home."
    )
    allowed_hosts: str = Field(
        "",
        description="Names under which a service may be called, separated by commas, beside loopback and its"
        " own address: a.example, *.b.example, or * for all.",
    )
    cors_origins: str = Field(
        "",
        description="Origins whose web pages may call a service, separated by commas: https://a.example; *"
        " for all, where keys are required.",
    )
    metrics_access: Literal["auto", "open", "key"] = Field(
        "auto",
        description="Who may read a service's /metrics; auto: everybody on loopback, elsewhere by key.",
    )
    service_workers: int = Field(
        1, ge=1, le=256, description="Processes of a service that predict, on one port; each holds the model."
    )
    request_seconds: float = Field(
        30.0, gt=0, description="In which time the headers, and then the body, of a request must arrive."
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="How a service writes its log; json: an object a line, for log collectors."
    )
    cache_mb: int = Field(
        4096, ge=0, description="Disk for what was last read of the store (home/cache), in MB; 0: none."
    )
    history_days: int = Field(
        0,
        ge=0,
        description="Days that overwritten and deleted rows are kept, to reproduce training sets; 0: always.",
    )
    check_days: int = Field(
        400,
        ge=0,
        description="Days that details of monitoring checks are kept, 31 or more; decisions and figures stay;"
        " 0: always.",
    )
    task_log_days: int = Field(
        30, ge=0, description="Days that the embedded stack keeps logs of Airflow's tasks; 0: always."
    )
    threads: int = Field(0, ge=0, description="CPU threads for training; 0 means all.")
    task_type: Literal["auto", "cpu", "gpu"] = Field(
        "auto", description="What CatBoost fits on; auto: a GPU if there is one."
    )
    follow_declaration: bool = Field(
        True, description="Whether a service takes over a changed declaration by itself."
    )
    champion_poll_seconds: float = Field(
        2.0, gt=0, description="How often a service asks the registry for a new champion."
    )
    alert_urls: SecretStr = Field(
        SecretStr(""),
        description="Where alerts go: addresses of Apprise's, separated by spaces, such as"
        " json://HOST/PATH or mailtos://USER:PASSWORD@HOST?to=ADDRESS; empty: nowhere.",
    )
    alert_repeat_hours: float = Field(
        24.0, gt=0, description="After how many hours people are told again of what still is so."
    )

    @property
    def cache_folder(self) -> Path:
        """The folder of the cache of tables that were read from the store."""
        return self.home / "cache"

    @property
    def api_keys_path(self) -> Path:
        """The file of API keys that `evergreen keys` keeps and services read."""
        return self.api_keys_file or self.home / "api-keys"

    @field_validator("dags", "mariadb_socket", "mariadb_tls_ca", "api_keys_file", mode="before")
    @classmethod
    def _read_empty_as_none(cls, value: str | Path | None) -> str | Path | None:
        # An empty variable means "none" in an environment; as a path it would be the current folder.
        return None if value == "" else value

    @field_validator("check_days")
    @classmethod
    def _refuse_few_check_days(cls, days: int) -> int:
        if 0 < days < _LEAST_CHECK_DAYS:
            raise ValueError(
                f"{days} days are too few: reports show a month of checks; {_LEAST_CHECK_DAYS} or more, or 0"
                " to keep all"
            )
        return days

    @property
    def trust(self) -> Trust:
        """The owners and folders that are trusted with code and settings for this process."""
        return build_trust(self.trusted_folders)

    @property
    def mariadb_verified(self) -> bool:
        """Whether MariaDB must use TLS and prove its name. Over a socket neither is needed."""
        return self.mariadb_socket is None and (self.mariadb_tls or self.mariadb_tls_ca is not None)


def load_settings(home: Path | None = None) -> Settings:
    """Read the settings: the environment first, then `stack.env` of the stack's home, then defaults.

    Raises SettingsError naming each field that is malformed, and UntrustedFolder, before anything in the home
    is read, when the home or its `stack.env` belongs to another user.
    """
    home = home or Path(os.environ.get("EVERGREEN_HOME", ".evergreen"))
    # Never from the file, because whoever owns it could declare it trusted.
    trusted_folders = os.environ.get(TRUSTED_FOLDERS_VARIABLE, "")
    trust = build_trust(trusted_folders)
    trust.check_folder(home, "the home of the stack")
    trust.check_file(home / STACK_ENV, "the settings of the stack")
    hint = f"mend the environment or {home / STACK_ENV}; .env.example lists every setting"
    try:
        settings = Settings(_env_file=home / STACK_ENV, home=home.resolve(), trusted_folders=trusted_folders)
    except ValidationError as error:
        faults = "; ".join(
            f"EVERGREEN_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()
        )
        raise SettingsError(f"the settings are malformed: {faults}", hint=hint) from None
    except MalformedSource as error:
        # Pydantic's error for JSON that cannot be parsed; it names the field but not the variable.
        raise SettingsError(
            f"a setting that must be JSON is not: {error}; {error.__cause__}", hint=hint
        ) from None
    except OSError as error:
        raise SettingsError(f"the settings cannot be read: {error}", hint=hint) from None
    environment_names = {name.upper() for name in os.environ}
    if "EVERGREEN_MARIADB_SOCKET" not in environment_names and environment_names & set(_SERVER_VARIABLES):
        stack_values = dotenv_values(home / STACK_ENV)
        address = (settings.mariadb_host, str(settings.mariadb_port))
        if address != tuple(stack_values.get(name) for name in _SERVER_VARIABLES):
            # The environment names another server than the running stack's, whose socket must not be used.
            return settings.model_copy(update={"mariadb_socket": None})
    return settings
