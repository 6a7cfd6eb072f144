"""Credit score of a bank's customers: Poor, Standard or Good. ALL DATA ARE SIMULATED; no real person or bank.

The upstream source is the bank's operational database (schema `credit_bank` in MariaDB), which `simulator`
writes and Evergreen reads through the Airflow Connection `credit_bank` like any foreign database.
"""

from __future__ import annotations

from datetime import timedelta

from evergreen.usecase import (
    Between,
    Contract,
    DriftPolicy,
    Entity,
    FeatureSet,
    FeatureView,
    Floor,
    Freshness,
    Gate,
    Key,
    Label,
    OnDemandFeature,
    Reference,
    RetrainPolicy,
    Rule,
    Serving,
    Slice,
    SqlSource,
    Tuning,
    UseCase,
)
from evergreen.usecases.credit_score import features, fields, rules

CONNECTION = "credit_bank"

_PROFILE_QUERY = """
SELECT customer_id, valid_from AS event_time, age, occupation
FROM customer
WHERE recorded_at > :start AND recorded_at <= :end
"""
_MONTHLY_QUERY = """
SELECT customer_id, event_time, annual_income, monthly_inhand_salary, num_bank_accounts, num_credit_card,
  interest_rate, num_of_loan, type_of_loan, delay_from_due_date, num_of_delayed_payment, changed_credit_limit,
  num_credit_inquiries, credit_mix, outstanding_debt, credit_utilization_ratio, credit_history_age,
  payment_of_min_amount, total_emi_per_month, amount_invested_monthly, payment_behaviour, monthly_balance
FROM monthly_fact
WHERE recorded_at > :start AND recorded_at <= :end
"""
_OUTCOME_QUERY = """
SELECT customer_id, event_time, credit_score
FROM score_outcome
WHERE recorded_at > :start AND recorded_at <= :end
"""

USE_CASE = UseCase(
    name="credit_score",
    title="Credit score (simulated bank)",
    meaning=(
        "Predicts whether a bank's customer will be scored Poor, Standard or Good 30 days after a "
        "month's facts. All data are simulated: no real customers."
    ),
    entity=Entity("customer", (Key("customer_id", "int", "Number of the simulated customer."),)),
    views=(
        FeatureView(
            name="profile",
            source=SqlSource(CONNECTION, _PROFILE_QUERY),
            features=fields.PROFILE,
            meaning="Who the (simulated) customer is; a new row when that changes.",
            event_time="event_time",
        ),
        FeatureView(
            name="monthly_facts",
            source=SqlSource(CONNECTION, _MONTHLY_QUERY),
            features=fields.MONTHLY,
            meaning="What the (simulated) bank knows of a customer when one of its 30-day months begins.",
            event_time="event_time",
            contract=Contract(
                rules=(Rule(rules.loans_have_kinds), Rule(rules.salary_within_income, severity="warning")),
                freshness=Freshness(within=timedelta(days=62)),
                references=(Reference("profile", severity="warning"),),
            ),
        ),
    ),
    label=Label(
        name="credit_score",
        source=SqlSource(CONNECTION, _OUTCOME_QUERY),
        meaning="The (simulated) bank's score, which arrives 30 days after the month's facts.",
        classes=("Poor", "Standard", "Good"),
        event_time="event_time",
        delay=timedelta(days=30),
    ),
    on_demand=(
        OnDemandFeature(features.debt_to_income),
        OnDemandFeature(features.emi_to_income),
        OnDemandFeature(features.balance_to_income),
        OnDemandFeature(features.history_to_age),
    ),
    feature_sets=(
        FeatureSet(
            "scorecard",
            (
                *("age", "annual_income", "num_of_loan", "delay_from_due_date", "num_of_delayed_payment"),
                *("credit_mix", "credit_utilization_ratio", "credit_history_age", "debt_to_income"),
            ),
            'What a classic scorecard looks at; model_set="scorecard" would give the model these only.',
        ),
    ),
    split="time",
    tuning=Tuning(
        space=(
            Between("depth", 4, 6),
            Between("l2_leaf_reg", 1.0, 8.0, log=True),
            Between("learning_rate", 0.06, 0.2, log=True),
        ),
        trials=8,
        seconds=60.0,
        iterations=500,
        early_stopping_rounds=30,
    ),
    # Always predicting the most frequent class reaches about 0.45.
    gate=Gate(metric="accuracy", floors=(Floor("accuracy", 0.6),), calibration_error=0.05),
    slices=(
        Slice("age", edges=(25, 40, 60), sensitive=True, max_difference=0.15),
        Slice("occupation", max_difference=0.2),
    ),
    # In ordinary months the PSI of every feature is below 0.05; in a recession more than ten exceed 0.25.
    drift=DriftPolicy(psi_threshold=0.25, min_features=3, min_rows=500, window=timedelta(days=7)),
    # Half a year has several labelled months, and leaves out rows of another economy soon enough.
    retrain=RetrainPolicy(on_drift=True, window=timedelta(days=180)),
    serving=Serving(port=3000),
)
