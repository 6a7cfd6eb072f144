"""The question that `<use_case>__train` puts to a person before it promotes, and the answer.

In a module of its own, which nothing imports but the one DAG file that asks.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param, task

from evergreen.usecase import UseCase

TASK = "approve"
APPROVE, DENY = "Approve", "Deny"

# A title is text, whatever is in it.
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
    """Tasks that put the question to a person, if the version passed the gate; skipped if not."""

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def passed(said: dict[str, Any]) -> bool:
        return bool(said["passed"])

    question = HITLOperator(
        task_id=TASK,
        subject=_SUBJECT.replace("__TITLE__", use_case.title).replace("__VERSION__", _VERSION),
        body=_BODY.replace("__TIMEOUT__", str(use_case.approval_timeout).removesuffix(", 0:00:00")),
        options=[APPROVE, DENY],
        defaults=DENY,
        response_timeout=use_case.approval_timeout,
        # Not "reason": the run's own parameter of that name would fill the field.
        params={
            "comment": Param(None, type=["null", "string"], title="Why", description="Kept in the ledger.")
        },
    )
    return passed(registered) >> question


def answer(context: Any) -> dict[str, Any] | None:
    """What was answered: {"approved", "actor", "reason"}; None where nobody was asked."""
    said = context["ti"].xcom_pull(task_ids=TASK)
    if said is None:
        return None
    user = said.get("responded_by_user") or {}
    approved = said["chosen_options"] == [APPROVE]
    reason = (said.get("params_input") or {}).get("comment") or ""
    if not user:
        return {"approved": False, "actor": "airflow: nobody", "reason": "no answer in time"}
    return {"approved": approved, "actor": f"airflow: {user.get('name') or user.get('id')}", "reason": reason}
