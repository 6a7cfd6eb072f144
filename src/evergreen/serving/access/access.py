"""Who may call a service, put together from the settings and from what the process listens on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from evergreen.errors import SettingsError
from evergreen.serving.access.hosts import AllowedHosts, parse_hosts
from evergreen.serving.access.key_ring import KeyRing, load_key_ring
from evergreen.serving.access.listening import is_exposed
from evergreen.serving.access.origins import AllowedOrigins, parse_origins
from evergreen.settings import Settings


@dataclass(frozen=True)
class Access:
    """What the guard of a service asks about each request.

    `exposed`: other machines may reach the service, so everybody needs a key. On loopback a key is needed as
    soon as anybody but the platform has one. `metrics_open`: /metrics needs none in any case.
    """

    hosts: AllowedHosts
    keys: KeyRing
    origins: AllowedOrigins
    exposed: bool
    metrics_open: bool

    @property
    def keys_required(self) -> bool:
        """Whether a caller needs a key now."""
        return self.exposed or self.keys.has_guests


def load_access(settings: Settings, listening_hosts: Iterable[str]) -> Access:
    """The access to a service that listens on these addresses.

    Raises SettingsError for a malformed setting and for a service without keys that others may reach, and
    UntrustedFolder for a file of keys that belongs to somebody else.
    """
    hosts = list(listening_hosts)
    exposed = is_exposed(hosts)
    keys = load_key_ring(settings)
    if exposed and not keys.keys:
        place = ", ".join(hosts) or "an unknown address"
        raise SettingsError(
            f"the service would listen on {place}, where others can reach it, and no API key is set:"
            " everybody who reaches it could predict, and read features by key",
            hint=f"make a key with `evergreen keys new NAME` (it is kept in {settings.api_keys_path}), or set"
            " EVERGREEN_API_KEYS=NAME:KEY; or listen on 127.0.0.1",
        )
    return Access(
        hosts=AllowedHosts(parse_hosts(settings.allowed_hosts)),
        keys=keys,
        origins=parse_origins(settings.cors_origins, keys_required=exposed or keys.has_guests),
        exposed=exposed,
        metrics_open=settings.metrics_access == "open" or (settings.metrics_access == "auto" and not exposed),
    )
