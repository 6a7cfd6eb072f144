"""Names of keys, features and label, made from the names of a table's columns."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Iterable, Sequence

from pydantic import BaseModel

from evergreen.usecase import NAME, RESERVED_COLUMNS

_LONGEST = 48
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ID = re.compile(r"(^|_)(id|key|uuid|guid|no|number|nr)$")


def name_columns(columns: Iterable[str], places: Sequence[str]) -> dict[str, str]:
    """A valid name for each column, all different.

    "fixed acidity" becomes fixed_acidity, "PassengerId" passenger_id, "2nd floor" n_2nd_floor, and a name of
    emoji only column_7, by the column's place in `places` (1 is the first). Where two would get the same
    name, the later one gets a number.
    """
    used_names: set[str] = set()
    names = {}
    for column in columns:
        names[column] = find_free_name(make_slug(column) or f"column_{places.index(column) + 1}", used_names)
        used_names.add(names[column])
    return names


def make_slug(text: str) -> str:
    """Lower-case letters, digits and _, starting with a letter, 48 characters at most; or ""."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    # SibSp is two words, pH is one.
    words = plain if len(plain) <= 2 else _CAMEL.sub("_", plain)
    name = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    if name and not name[0].isalpha():
        name = f"n_{name}"
    return name[:_LONGEST].rstrip("_")


def find_free_name(name: str, used_names: Iterable[str]) -> str:
    """The name, or the name with the first number that makes it neither used nor reserved."""
    unavailable = set(used_names)
    if not is_usable_name(name):
        name = f"{name[: _LONGEST - 6]}_value"
    candidate, number = name, 1
    while candidate in unavailable or not is_usable_name(candidate):
        number += 1
        ending = f"_{number}"
        candidate = f"{name[: _LONGEST - len(ending)]}{ending}"
    return candidate


def is_usable_name(name: str) -> bool:
    """Whether a column, a parameter of an on-demand feature and a field of a request may have this name."""
    reserved = name in RESERVED_COLUMNS or keyword.iskeyword(name) or hasattr(BaseModel, name)
    return bool(NAME.fullmatch(name)) and not reserved


def looks_like_id(column: str) -> bool:
    """Whether the name is one that people give to keys: PassengerId, customer_key, id."""
    return bool(_ID.search(make_slug(column)))


def looks_like_index(column: str) -> bool:
    """Whether the name is one that programs give to row numbers: none, "Unnamed: 0", index."""
    name = make_slug(column)
    return not name or name == "index" or name.startswith("unnamed")
