"""The rules across the fields of one month that follow from the bank's bookkeeping.

The first line of a rule's docstring appears in reports on rows that break it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evergreen.usecases.credit_score.fields import NO_LOAN

Numbers = NDArray[np.float64]
Truths = NDArray[np.bool_]


def loans_have_kinds(num_of_loan: Numbers, type_of_loan: NDArray[Any]) -> Truths:
    """Who has a loan has a kind of loan, and who has none has none."""
    return np.asarray((num_of_loan == 0) == (type_of_loan == NO_LOAN), dtype=np.bool_)


def salary_within_income(monthly_inhand_salary: Numbers, annual_income: Numbers) -> Truths:
    """What is paid out is no more than a twelfth of the gross income."""
    return ~(12.0 * monthly_inhand_salary > annual_income)
