"""Statistics of a table's columns, gathered batch by batch: kinds of values, ranges, gaps."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from evergreen.validation.casting import WHOLE_LIMIT
from evergreen.validation.object_casting import NO_NUMBER

# Beyond this many different values a column counts as having "many", and they are not counted any more.
MOST_VALUES = 1_000
_EXAMPLES = 5

_NUMBER = r"^[+-]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|(?i:inf|infinity))$"
_WHOLE = r"^[+-]?[0-9]+$"
# Digits with a leading zero, such as 007, are a code: read as a number they would lose it.
_CODE = r"^[+-]?0[0-9]"
_TIME = (
    r"^[0-9]{4}-[0-9]{2}(-[0-9]{2}([T ][0-9]{2}(:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?)?"
    r"( ?(Z|[+-][0-9]{2}(:?[0-9]{2})?))?)?)?$"
)


@dataclass
class Column:
    """One column, as far as it has been read. `rows` counts all values, `missing` those null, blank or NaN.

    `number`, `whole` and `time` say whether every value can be read as that; of a text column, `no_numbers`
    counts the words such as "NA" that mean "missing" where a number is expected. `least`, `greatest`, `total`
    and `squares` (sum of squares) are of the numbers; `characters` and `bytes` of the longest text. `values`
    counts each different text, up to MOST_VALUES of them, then `many` is set. `distinct` is false as soon as
    one batch repeats a value. `odd` holds, by "number" or "time", a few values that cannot be read as one.
    `unusable` says why a column of another type cannot be declared at all.
    """

    name: str
    rows: int = 0
    missing: int = 0
    no_numbers: int = 0
    text: bool = False
    number: bool = True
    whole: bool = True
    time: bool = True
    code: bool = False
    boolean: bool = False
    infinite: bool = False
    unusable: str = ""
    least: float = math.inf
    greatest: float = -math.inf
    total: float = 0.0
    squares: float = 0.0
    characters: int = 0
    bytes: int = 0
    values: Counter[str] = field(default_factory=Counter)
    many: bool = False
    distinct: bool = True
    odd: dict[str, list[str]] = field(default_factory=dict)

    @property
    def present(self) -> int:
        """How many values are not missing."""
        return self.rows - self.missing

    @property
    def empty(self) -> bool:
        """Whether no value is present."""
        return self.present == 0

    @property
    def numeric(self) -> bool:
        """Whether every value is a number that the store can hold as one."""
        beyond = self.whole and max(abs(self.least), abs(self.greatest)) >= WHOLE_LIMIT
        numbers = self.present - self.no_numbers
        return self.number and numbers > 0 and not self.code and not self.infinite and not beyond

    @property
    def moment(self) -> bool:
        """Whether every value is an ISO 8601 time."""
        return self.time and not self.empty

    @property
    def gaps(self) -> int:
        """How many values are missing, as its type reads them."""
        return self.missing + (self.no_numbers if self.numeric else 0)

    @property
    def constant(self) -> bool:
        """Whether all values that are present are the same."""
        if self.many or self.empty:
            return False
        return len(self.values) == 1 or (self.numeric and self.least == self.greatest)

    @property
    def deviation(self) -> float:
        """Standard deviation of the numbers."""
        count = max(1, self.rows - self.gaps)
        return math.sqrt(max(0.0, self.squares / count - (self.total / count) ** 2))

    def observe(self, values: pa.ChunkedArray) -> None:
        """Add the values of one batch to the statistics."""
        kind = values.type
        self.rows += len(values)
        if pa.types.is_dictionary(kind):
            values = values.cast(kind.value_type)
            kind = values.type
        if pa.types.is_null(kind):
            self.missing += len(values)
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            self._observe_texts(values)
        elif pa.types.is_boolean(kind):
            self.boolean = True
            self.time = False
            present = values.drop_null()
            self.missing += len(values) - len(present)
            self._add_numbers(present.cast(pa.int8()))
            # Validation writes truth values as Python does: True and False.
            self._count_values(
                pa.chunked_array([pa.array([str(v) for v in present.to_pylist()], pa.string())])
            )
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            self._observe_numbers(values)
        elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            self.number = self.whole = False
            present = values.drop_null()
            self.missing += len(values) - len(present)
            self._count_values(present.cast(pa.string()))
        else:
            self.unusable = f"holds {kind}"

    def _observe_texts(self, values: pa.ChunkedArray) -> None:
        self.text = True
        texts = pc.utf8_trim_whitespace(values).drop_null()
        texts = texts.filter(pc.greater(pc.binary_length(texts), 0))
        self.missing += len(values) - len(texts)
        if not len(texts):
            return
        self.characters = max(self.characters, pc.max(pc.utf8_length(texts)).as_py())
        self.bytes = max(self.bytes, pc.max(pc.binary_length(texts)).as_py())
        self._count_values(texts)
        if self.time:
            self.time = self._check_all(texts, _TIME, "time")
        if self.number:
            words = pa.array(sorted(NO_NUMBER), texts.type)
            numbers = texts.filter(pc.invert(pc.is_in(pc.utf8_lower(texts), words)))
            self.no_numbers += len(texts) - len(numbers)
            self.number = self._check_all(numbers, _NUMBER, "number")
            if self.number:
                self.whole = self.whole and _all_match(numbers, _WHOLE)
                self.code = self.code or bool(pc.any(pc.match_substring_regex(numbers, _CODE)).as_py())
                plain = pc.replace_substring_regex(numbers, r"^\+", "")
                self._add_numbers(plain.cast(pa.float64()))

    def _observe_numbers(self, values: pa.ChunkedArray) -> None:
        self.time = False
        whole = pa.types.is_integer(values.type)
        present = values.drop_null()
        if not whole:
            present = present.cast(pa.float64())
            present = present.filter(pc.invert(pc.is_nan(present)))
        self.missing += len(values) - len(present)
        self.whole = self.whole and whole
        self._add_numbers(present.cast(pa.float64(), safe=False))
        if whole:
            self._count_values(present.cast(pa.string()))
        else:
            self._count_values(pa.chunked_array([_format_floats(present.combine_chunks())]))

    def _add_numbers(self, numbers: pa.ChunkedArray) -> None:
        if not len(numbers):
            return
        numbers = numbers.cast("float64")
        ends = pc.min_max(numbers).as_py()
        self.least, self.greatest = min(self.least, ends["min"]), max(self.greatest, ends["max"])
        self.infinite = self.infinite or math.isinf(ends["min"]) or math.isinf(ends["max"])
        self.total += pc.sum(numbers).as_py()
        self.squares += pc.sum(pc.multiply(numbers, numbers)).as_py()

    def _count_values(self, texts: pa.ChunkedArray) -> None:
        if self.distinct:
            self.distinct = pc.count_distinct(texts).as_py() == len(texts)
        if self.many:
            return
        counts = pc.value_counts(texts)
        if len(counts) <= MOST_VALUES:
            for each in counts.to_pylist():
                self.values[each["values"]] += each["counts"]
        if len(counts) > MOST_VALUES or len(self.values) > MOST_VALUES:
            self.many = True
            self.values.clear()

    def _check_all(self, texts: pa.ChunkedArray, pattern: str, what: str) -> bool:
        """Whether all texts match the pattern; a few that do not are noted in `odd` under `what`."""
        fits = pc.match_substring_regex(texts, pattern)
        if not len(texts) or pc.all(fits).as_py():
            return True
        odd = texts.filter(pc.invert(fits)).slice(0, _EXAMPLES).to_pylist()
        self.odd.setdefault(what, []).extend(odd)
        return False


def _all_match(texts: pa.ChunkedArray, pattern: str) -> bool:
    return not len(texts) or bool(pc.all(pc.match_substring_regex(texts, pattern)).as_py())


def _format_floats(numbers: pa.Array) -> pa.Array:
    """Floats as validation writes them into a text column: 3.0 becomes "3"."""
    # Each different value is written once: a column may hold a million measurements.
    encoded = numbers.dictionary_encode()
    if len(encoded.dictionary) > MOST_VALUES:
        return numbers.cast(pa.string())
    texts = [
        str(int(value)) if value.is_integer() else str(value) for value in encoded.dictionary.to_pylist()
    ]
    words = pa.array(texts, pa.string())
    return words.take(encoded.indices)
