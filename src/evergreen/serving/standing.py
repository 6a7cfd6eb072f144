"""What a running service serves compared with what it should: the champion, and the present declaration."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from evergreen.serving.calls.client import open_own_client
from evergreen.settings import Settings
from evergreen.usecase import UseCase
from evergreen.usecase.digest import compute_serving_digest, shorten_digest

if TYPE_CHECKING:
    from evergreen.registry.champion import Champion
    from evergreen.serving.http.bodies import MetadataBody, TrialBody

# A service asks for the champion every few seconds and then loads it: until then it is not late.
_LOADING_TIME = timedelta(seconds=30)
_ANSWER_SECONDS = 3.0


@dataclass(frozen=True)
class ServiceStatus:
    """The model that a service answers with (`serves`) beside the champion; None where there is none.

    `declaration` is the digest of the declaration that the service holds ("" for services of earlier
    versions, which do not report it), `declared` that of the use case's files now. `settling`: the champion
    or the service is so new that the model may still be loading. `trouble` is why the service itself says
    that the champion is not in service, or "". `refused` is why it does not take the champion's model from
    MLflow, or "". `cached_since` (aware UTC) is set where it answers with a model of before its start,
    because MLflow or MariaDB did not answer then. `trial` is the trial that it takes part in, or "".
    `follows`: it takes over a changed declaration by itself; `declaration_refused` is why it does not, and
    `declaration_hint` what to do, or "".
    """

    use_case: str
    url: str
    serves: int | None
    champion: int | None
    declaration: str
    declared: str
    trouble: str
    settling: bool = False
    refused: str = ""
    cached_since: datetime | None = None
    trial: str = ""
    follows: bool = False
    declaration_refused: str = ""
    declaration_hint: str = ""

    @property
    def outdated(self) -> bool:
        """Whether it holds another declaration than the files do now."""
        return bool(self.declaration) and self.declaration != self.declared

    @property
    def following(self) -> bool:
        """Whether it is about to take over the present declaration by itself."""
        return self.outdated and self.follows and not self.declaration_refused

    @property
    def behind(self) -> bool:
        """Whether another model answers than the champion."""
        return self.champion is not None and self.serves != self.champion

    @property
    def lags(self) -> bool:
        """Whether a person has to act: it will not catch up by itself."""
        if self.outdated:
            return not self.following
        return self.behind and (bool(self.trouble) or not self.settling)

    @property
    def remedy(self) -> str:
        """What mends it; "" when it does not lag, or when `trouble` says what to do."""
        if self.outdated and self.declaration_refused:
            return self.declaration_hint
        if self.lags and (self.outdated or not self.trouble):
            return format_restart_command(self.use_case)
        return ""

    def describe(self) -> str:
        """The status in one line, the remedy last."""
        parts = ["serves no model" if self.serves is None else f"serves v{self.serves}"]
        if self.cached_since is not None:
            parts[0] += f" from its cache since {self.cached_since:%Y-%m-%d %H:%M} UTC"
        if self.behind:
            parts[0] += f", champion is v{self.champion}"
            if not self.lags and not self.outdated:
                parts[0] += ", which it takes over within seconds"
        if self.trial:
            parts.append(self.trial)
        if self.outdated:
            old, new = shorten_digest(self.declaration), shorten_digest(self.declared)
            text = f"holds an older declaration ({old}, now {new})"
            if self.following:
                text += " and takes over the present one within seconds"
            elif self.declaration_refused:
                text += f", because it refuses the present one: {self.declaration_refused}"
            parts.append(text)
        elif self.trouble or self.refused:
            parts.append(self.trouble or f"it serves its own copy, because {self.refused}")
        separator = "; " if self.outdated and self.declaration_refused else ": "
        return "; ".join(parts) + (f"{separator}{self.remedy}" if self.remedy else "")

    def to_json(self) -> dict[str, str | int | bool | None]:
        """Every field, and the properties with the one-line description as `summary`."""
        return {
            **asdict(self),
            "cached_since": self.cached_since.isoformat() if self.cached_since else None,
            "outdated": self.outdated,
            "following": self.following,
            "lags": self.lags,
            "remedy": self.remedy,
            "summary": self.describe(),
        }


def read_service_status(
    settings: Settings, url: str, use_case: UseCase, champion: Champion | None
) -> ServiceStatus:
    """Ask the service at `url` what it serves and holds. Raises ServiceUnreachable, ServingError."""
    with open_own_client(settings, url, timeout=_ANSWER_SECONDS) as client:
        return build_service_status(client.metadata(), url, use_case, champion)


def build_service_status(
    metadata: MetadataBody,
    url: str,
    use_case: UseCase,
    champion: Champion | None,
    now: datetime | None = None,
) -> ServiceStatus:
    """The status of a service from its answer on /metadata; `now` (aware) is the moment of that answer."""
    now = now or datetime.now(UTC)
    cached, refused = metadata.get("cached"), metadata.get("refused")
    declaration_refused = metadata.get("declaration_refused")
    moments = [champion.promoted_at if champion else None, datetime.fromisoformat(metadata["started_at"])]
    return ServiceStatus(
        use_case=use_case.name,
        url=url,
        serves=metadata["model_version"],
        champion=champion.version if champion else None,
        declaration=metadata.get("declaration") or "",
        declared=compute_serving_digest(use_case),
        trouble=metadata["trouble"],
        settling=any(moment is not None and now - moment < _LOADING_TIME for moment in moments),
        refused=refused["reason"] if refused else "",
        cached_since=datetime.fromisoformat(cached["since"]) if cached else None,
        trial=_describe_trial(metadata.get("trial")),
        follows=metadata.get("follows_declaration", False),
        declaration_refused=declaration_refused["reason"] if declaration_refused else "",
        declaration_hint=declaration_refused["hint"] if declaration_refused else "",
    )


def _describe_trial(trial: TrialBody | None) -> str:
    if trial is None:
        return ""
    share = f" for {100 * trial['share']:.3g} % of the keys" if trial["mode"] != "shadow" else ""
    until = datetime.fromisoformat(trial["ends_at"])
    if rival := trial.get("rival_version"):
        how = f"against v{rival}, each{share}"
    elif trial["mode"] == "ab":
        how = f"in an A/B test{share}"
    else:
        how = f"as {trial['mode']}{share}"
    return f"tries v{trial['challenger_version']} {how} until {until:%Y-%m-%d %H:%M} UTC"


def format_restart_command(use_case_name: str) -> str:
    """The command that restarts a service, so that it loads the present declaration."""
    return f"evergreen restart {use_case_name}"


def format_container_name(use_case_name: str) -> str:
    """The name of a use case's service in docker-compose.yml."""
    return f"service-{use_case_name.replace('_', '-')}"
