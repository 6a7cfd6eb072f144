"""On-demand features of a customer's month: ratios computed from the fields of the same row, as NumPy
functions.

Arrays in and out are float64 of one length n, NaN for missing; money is in one currency, times are in months.
A ratio whose denominator is zero is missing. Models carry a digest of these functions' code: a change of
code, even of a variable's name, makes registered models unfit for service.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def _ratio(part: Numbers, whole: Numbers) -> Numbers:
    ratio = np.full(np.shape(part), np.nan)
    np.divide(part, whole, out=ratio, where=np.asarray(whole) > 0)
    return ratio


def debt_to_income(outstanding_debt: Numbers, annual_income: Numbers) -> Numbers:
    """Outstanding debt as a share of a year's income."""
    return _ratio(outstanding_debt, annual_income)


def emi_to_income(total_emi_per_month: Numbers, annual_income: Numbers) -> Numbers:
    """Monthly instalments as a share of a month's gross income."""
    return _ratio(12.0 * total_emi_per_month, annual_income)


def balance_to_income(monthly_balance: Numbers, annual_income: Numbers) -> Numbers:
    """What is left at the month's end as a share of a month's gross income."""
    return _ratio(12.0 * monthly_balance, annual_income)


def history_to_age(credit_history_age: Numbers, age: Numbers) -> Numbers:
    """Share of the months of life that the credit history covers."""
    return _ratio(credit_history_age, 12.0 * age)
