"""The stack's passwords and keys, generated once and kept in `keys.json` (mode 600) of the home."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from evergreen.errors import StackError
from evergreen.private import write_private_file
from evergreen.stack.servers.mariadb import generate_password

KEYS_FILE = "keys.json"


@dataclass(frozen=True)
class Keys:
    """Everything secret. Connections that users save in Airflow can only be read with its Fernet key."""

    mariadb_password: str
    airflow_password: str
    airflow_fernet_key: str
    airflow_jwt_secret: str
    airflow_secret_key: str

    @property
    def service_api_key(self) -> str:
        """The key by which Evergreen's own calls sign in at its services, once other callers have keys.

        Derived, so that the file of a home of before has it as well.
        """
        derived = hmac.digest(self.airflow_secret_key.encode(), b"evergreen service api key", "sha256")
        return f"eg_{derived.hex()}"


def load_or_create_keys(home: Path) -> Keys:
    """The keys of this home, generated when there are none. Raises StackError when the file is damaged."""
    path = home / KEYS_FILE
    if path.exists():
        try:
            return Keys(**json.loads(path.read_text("utf-8")))
        except (ValueError, TypeError) as error:
            raise StackError(
                f"{path} is damaged: {error}",
                hint=f"restore it, or remove {home} to begin with an empty stack",
            ) from None
    keys = Keys(
        mariadb_password=generate_password(),
        airflow_password=secrets.token_urlsafe(12),
        airflow_fernet_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        airflow_jwt_secret=secrets.token_hex(32),
        airflow_secret_key=secrets.token_hex(32),
    )
    write_private_file(path, json.dumps(asdict(keys), indent=1))
    return keys
