"""The approval of a candidate in `<use_case>__train`: the form that asks a person, and the person's
answer."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param, task

from evergreen.registry.actor import NOBODY
from evergreen.usecase import UseCase

TASK = "approve"
APPROVE, DENY = "Approve", "Deny"

# The title of a use case is inserted as plain text, whatever characters it has.
_SUBJECT = "{% raw %}__TITLE__{% endraw %}: let version __VERSION__ in?"
_VERSION = "{{ ti.xcom_pull(task_ids='register')['version'] }}"
_BODY = """{% set said = ti.xcom_pull(task_ids='register') %}
**{{ said['summary'] }}**

{% if said['card'] %}[Model card of version {{ said['version'] }}]({{ said['card'] }}){% endif %}

| check | | reason |
|---|---|---|
{% for check in ti.xcom_pull(task_ids='gate')['checks'] -%}
{% set result = check.get('result') or ('passed' if check['passed'] else 'failed') -%}
| {{ check['name'] }} | {{ result if result == 'passed' else '**' + result.upper() + '**' }} \
| {{ check['reason'] }} |
{% endfor %}

Without an answer within __TIMEOUT__ the version stays out, and the champion stays.
"""


def ask(use_case: UseCase, registered: Any) -> Any:
    """Tasks that ask a person whether to promote; skipped if the version did not pass the gate."""

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def passed(candidate: dict[str, Any]) -> bool:
        return bool(candidate["passed"])

    question = HITLOperator(
        task_id=TASK,
        subject=_SUBJECT.replace("__TITLE__", use_case.title).replace("__VERSION__", _VERSION),
        body=_BODY.replace("__TIMEOUT__", str(use_case.approval_timeout).removesuffix(", 0:00:00")),
        options=[APPROVE, DENY],
        defaults=DENY,
        response_timeout=use_case.approval_timeout,
        # Not called "reason", because the run's own parameter of that name would fill the field.
        params={
            "comment": Param(None, type=["null", "string"], title="Why", description="Kept in the ledger.")
        },
    )
    return passed(registered) >> question


def answer(context: Any) -> dict[str, Any] | None:
    """The answer as keyword arguments of `answer_approval`: {"approved", "actor", "reason"}; None where
    nobody was asked."""
    response = context["ti"].xcom_pull(task_ids=TASK)
    if response is None:
        return None
    user = response.get("responded_by_user") or {}
    approved = response["chosen_options"] == [APPROVE]
    reason = (response.get("params_input") or {}).get("comment") or ""
    if not user:
        return {"approved": False, "actor": NOBODY, "reason": "no answer in time"}
    return {"approved": approved, "actor": f"airflow: {user.get('name') or user.get('id')}", "reason": reason}
