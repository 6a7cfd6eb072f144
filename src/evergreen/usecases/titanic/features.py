"""On-demand features of a passenger, computed from the fields of the same row: NumPy functions.

Arrays in and out have one length n; numbers are float64 with NaN for missing, texts and categories are object
arrays of `str` or `None`. No function uses another row or the label, so that a single request and a file give
a passenger the same values. Models carry a digest of these functions' code: a change of code, even of a
variable's name, makes registered models unfit for service, and a change of docstrings or comments does not.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Texts = NDArray[np.object_]

_TITLE = re.compile(r",\s*(?:the\s+)?([A-Za-z]+)")
_TITLES = {
    "Mr": "Mr",
    "Mrs": "Mrs",
    "Mme": "Mrs",
    "Miss": "Miss",
    "Mlle": "Miss",
    "Ms": "Miss",
    "Master": "Master",
    "Dr": "Professional",
    "Rev": "Professional",
    "Col": "Officer",
    "Major": "Officer",
    "Capt": "Officer",
    "Don": "Noble",
    "Dona": "Noble",
    "Sir": "Noble",
    "Lady": "Noble",
    "Countess": "Noble",
    "Jonkheer": "Noble",
}
_DECK = re.compile(r"[A-GT]")
_TICKET_NUMBER = re.compile(r"(\d+)$")
_CHILD_UNDER = 15.0


def _each(function: object, texts: Texts) -> Texts:
    """`function` applied to each text; None stays None."""
    assert callable(function)
    found = np.empty(len(texts), dtype=object)
    found[:] = [None if text is None else function(text) for text in texts]
    return found


def title(name: Texts) -> Texts:
    """How the passenger is addressed: Mr, Mrs, Miss, Master, Professional, Officer, Noble or Other.

    "Braund, Mr. Owen Harris" is Mr; Mlle and Ms count as Miss, Mme as Mrs, Dr and Rev as Professional.
    """

    def one(text: str) -> str:
        """The title of one name."""
        match = _TITLE.search(text)
        return _TITLES.get(match.group(1), "Other") if match else "Other"

    return _each(one, name)


def family_size(sibsp: Numbers, parch: Numbers) -> Numbers:
    """Members of the family aboard, the passenger included."""
    return sibsp + parch + 1.0


def is_alone(family_size: Numbers) -> Numbers:
    """1 if no family member is aboard, else 0."""
    return np.where(np.isnan(family_size), np.nan, (family_size == 1.0).astype(np.float64))


def fare_per_person(fare: Numbers, family_size: Numbers) -> Numbers:
    """The fare in pounds divided by the family's size, since one ticket often covered the family."""
    return np.divide(fare, family_size)


def is_child(age: Numbers, title: Texts) -> Numbers:
    """1 under 15 years, and for a Master whose age is missing; else 0, or missing if unknown."""
    master = np.asarray(title == "Master", dtype=bool)
    known = (age < _CHILD_UNDER).astype(np.float64)
    return np.where(np.isnan(age), np.where(master, 1.0, np.nan), known)


def deck(cabin: Texts) -> Texts:
    """The deck letter of the (first) cabin, A at the top to G; missing where no cabin is recorded.

    Cabins are known mostly from first-class lists, so a missing deck is itself informative.
    """

    def one(text: str) -> str | None:
        """The deck of one entry."""
        match = _DECK.search(text)
        return match.group(0) if match else None

    return _each(one, cabin)


def ticket_office(ticket: Texts) -> Texts:
    """The letters before the ticket's number ("PC 17599" is PC), "none" without: who issued it."""

    def one(text: str) -> str:
        """The office of one ticket."""
        letters = re.sub(r"[^A-Z]", "", _TICKET_NUMBER.sub("", text.upper()))
        return letters or "none"

    return _each(one, ticket)


def ticket_number(ticket: Texts) -> Numbers:
    """The number at the ticket's end: blocks belong to one class, port and office; missing for LINE."""
    numbers = np.full(len(ticket), np.nan)
    for index, text in enumerate(ticket):
        match = _TICKET_NUMBER.search(text) if text is not None else None
        if match:
            numbers[index] = float(match.group(1))
    return numbers
