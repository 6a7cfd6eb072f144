"""The 22 fields of the simulated bank: type, meaning and domain. All simulated rows lie within these
domains."""

from __future__ import annotations

from itertools import combinations

from evergreen.usecase import Feature

CREDIT_MIXES = ("Good", "Standard", "Bad")
MINIMUM_PAID = ("Yes", "No", "NM")
PAYMENT_BEHAVIOURS = tuple(
    f"{spent}_spent_{value}_value_payments"
    for spent in ("Low", "High")
    for value in ("Small", "Medium", "Large")
)
LOAN_KINDS = ("Auto Loan", "Mortgage Loan", "Personal Loan", "Student Loan")
NO_LOAN = "No Loan"
# "No Loan", and every combination of kinds that a customer may hold, joined in alphabetical order.
LOAN_TYPES = (
    NO_LOAN,
    *(", ".join(held) for count in range(1, len(LOAN_KINDS) + 1) for held in combinations(LOAN_KINDS, count)),
)
OCCUPATIONS = (
    "Accountant",
    "Architect",
    "Developer",
    "Doctor",
    "Engineer",
    "Entrepreneur",
    "Journalist",
    "Lawyer",
    "Manager",
    "Mechanic",
    "Media_Manager",
    "Musician",
    "Scientist",
    "Teacher",
    "Writer",
)
# Twice the share of values that the bank fails to record, because a small batch differs by chance.
_SOMETIMES_MISSING = 0.10

PROFILE = (
    Feature("age", "int", "Age in years.", minimum=18, maximum=100),
    Feature("occupation", "category", "What the customer does for a living.", allowed=OCCUPATIONS),
)

MONTHLY = (
    Feature("annual_income", "float", "Gross income a year.", minimum=6_000, maximum=400_000),
    Feature(
        "monthly_inhand_salary",
        "float",
        "Salary a month after tax.",
        minimum=300,
        maximum=30_000,
        max_null_share=_SOMETIMES_MISSING,
    ),
    Feature("num_bank_accounts", "int", "Bank accounts held.", minimum=1, maximum=12),
    Feature("num_credit_card", "int", "Credit cards held.", minimum=0, maximum=14),
    Feature("interest_rate", "int", "Interest rate on credit cards, in percent.", minimum=1, maximum=40),
    Feature("num_of_loan", "int", "Loans taken from the bank.", minimum=0, maximum=10),
    Feature("type_of_loan", "category", "The kinds of loans held, joined by commas.", allowed=LOAN_TYPES),
    Feature("delay_from_due_date", "int", "Average days late with a payment.", minimum=0, maximum=120),
    Feature(
        "num_of_delayed_payment",
        "int",
        "Payments that came late over the past year.",
        minimum=0,
        maximum=45,
        max_null_share=_SOMETIMES_MISSING,
    ),
    Feature(
        "changed_credit_limit",
        "float",
        "Change of the credit limit over the past year, in percent.",
        minimum=-40,
        maximum=50,
    ),
    Feature(
        "num_credit_inquiries",
        "int",
        "Inquiries about the customer's credit over the past year.",
        minimum=0,
        maximum=25,
        max_null_share=_SOMETIMES_MISSING,
    ),
    Feature("credit_mix", "category", "The bank's judgement of the mix of credits.", allowed=CREDIT_MIXES),
    Feature("outstanding_debt", "float", "Debt still to be paid.", minimum=0, maximum=40_000),
    Feature(
        "credit_utilization_ratio",
        "float",
        "Share of the credit limit in use, in percent.",
        minimum=0,
        maximum=100,
    ),
    Feature("credit_history_age", "int", "Length of the credit history, in months.", minimum=0, maximum=720),
    Feature(
        "payment_of_min_amount",
        "category",
        "Whether only the minimum was paid; NM: not mentioned.",
        allowed=MINIMUM_PAID,
    ),
    Feature("total_emi_per_month", "float", "Loan instalments a month.", minimum=0, maximum=5_000),
    Feature(
        "amount_invested_monthly",
        "float",
        "Amount invested a month.",
        minimum=0,
        maximum=20_000,
        max_null_share=_SOMETIMES_MISSING,
    ),
    Feature(
        "payment_behaviour",
        "category",
        "How much is spent, in payments of what size.",
        allowed=PAYMENT_BEHAVIOURS,
    ),
    Feature("monthly_balance", "float", "What is left at the month's end.", minimum=0, maximum=30_000),
)
