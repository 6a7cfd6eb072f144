"""What a table's columns hold, learned batch by batch: kinds of values, ranges, gaps, how many differ."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evergreen.validation.casting import WHOLE_LIMIT
from evergreen.validation.object_casting import NO_NUMBER

if TYPE_CHECKING:
    import pyarrow as pa

# Beyond this many different values a column counts as having "many", and they are not counted any more.
MOST_VALUES = 1_000
_EXAMPLES = 5

_NUMBER = r"^[+-]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|(?i:inf|infinity))$"
_WHOLE = r"^[+-]?[0-9]+$"
# 007 is a code, not a seven.
_CODE = r"^[+-]?0[0-9]"
_TIME = (
    r"^[0-9]{4}-[0-9]{2}(-[0-9]{2}([T ][0-9]{2}(:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?)?"
    r"( ?(Z|[+-][0-9]{2}(:?[0-9]{2})?))?)?)?$"
)


@dataclass
class Column:
    """One column so far. `rows` counts all values, `missing` those that are null, blank or NaN.

    `number`, `whole` and `time` say what every value can be read as; of a text column, `no_numbers` counts
    the words such as "NA" that mean "missing" where a number is expected. `least`, `greatest`, `total` and
    `squares` are of the numbers; `characters` and `bytes` of the longest text. `values` counts each different
    text, up to MOST_VALUES of them, then `many` is set. `distinct` is false as soon as one batch repeats a
    value. `odd` holds a few values that no number, or no time, could be read from.
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
        return self.rows - self.missing

    @property
    def empty(self) -> bool:
        return self.present == 0

    @property
    def numeric(self) -> bool:
        """Whether every value is a number that the store can hold as one."""
        beyond = self.whole and max(abs(self.least), abs(self.greatest)) >= WHOLE_LIMIT
        counted = self.present - self.no_numbers
        return self.number and counted > 0 and not self.code and not self.infinite and not beyond

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
        if self.many or self.empty:
            return False
        return len(self.values) == 1 or (self.numeric and self.least == self.greatest)

    @property
    def deviation(self) -> float:
        """Standard deviation of the numbers."""
        count = max(1, self.rows - self.gaps)
        return math.sqrt(max(0.0, self.squares / count - (self.total / count) ** 2))

    def observe(self, values: pa.ChunkedArray) -> None:
        """Learn from one batch."""
        import pyarrow as pa

        kind = values.type
        self.rows += len(values)
        if pa.types.is_dictionary(kind):
            values = values.cast(kind.value_type)
            kind = values.type
        if pa.types.is_null(kind):
            self.missing += len(values)
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            self._texts(values)
        elif pa.types.is_boolean(kind):
            self.boolean = True
            self.time = False
            present = values.drop_null()
            self.missing += len(values) - len(present)
            self._numbers(present.cast(pa.int8()))
            # As validation writes it: Python's own words.
            self._count(pa.chunked_array([pa.array([str(v) for v in present.to_pylist()], pa.string())]))
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            self._typed_numbers(values)
        elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            self.number = self.whole = False
            present = values.drop_null()
            self.missing += len(values) - len(present)
            self._count(present.cast(pa.string()))
        else:
            self.unusable = f"holds {kind}"

    def _texts(self, values: pa.ChunkedArray) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        self.text = True
        texts = pc.utf8_trim_whitespace(values).drop_null()
        texts = texts.filter(pc.greater(pc.binary_length(texts), 0))
        self.missing += len(values) - len(texts)
        if not len(texts):
            return
        self.characters = max(self.characters, pc.max(pc.utf8_length(texts)).as_py())
        self.bytes = max(self.bytes, pc.max(pc.binary_length(texts)).as_py())
        self._count(texts)
        if self.time:
            self.time = self._all(texts, _TIME, "time")
        if self.number:
            words = pa.array(sorted(NO_NUMBER), texts.type)
            given = texts.filter(pc.invert(pc.is_in(pc.utf8_lower(texts), words)))
            self.no_numbers += len(texts) - len(given)
            self.number = self._all(given, _NUMBER, "number")
            if self.number:
                self.whole = self.whole and _all_match(given, _WHOLE)
                self.code = self.code or bool(pc.any(pc.match_substring_regex(given, _CODE)).as_py())
                plain = pc.replace_substring_regex(given, r"^\+", "")
                self._numbers(plain.cast(pa.float64()))

    def _typed_numbers(self, values: pa.ChunkedArray) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        self.time = False
        whole = pa.types.is_integer(values.type)
        present = values.drop_null()
        if not whole:
            present = present.cast(pa.float64())
            present = present.filter(pc.invert(pc.is_nan(present)))
        self.missing += len(values) - len(present)
        self.whole = self.whole and whole
        self._numbers(present.cast(pa.float64(), safe=False))
        if whole:
            self._count(present.cast(pa.string()))
        else:
            self._count(pa.chunked_array([_format_floats(present.combine_chunks())]))

    def _numbers(self, numbers: pa.ChunkedArray) -> None:
        import pyarrow.compute as pc

        if not len(numbers):
            return
        numbers = numbers.cast("float64")
        ends = pc.min_max(numbers).as_py()
        self.least, self.greatest = min(self.least, ends["min"]), max(self.greatest, ends["max"])
        self.infinite = self.infinite or math.isinf(ends["min"]) or math.isinf(ends["max"])
        self.total += pc.sum(numbers).as_py()
        self.squares += pc.sum(pc.multiply(numbers, numbers)).as_py()

    def _count(self, texts: pa.ChunkedArray) -> None:
        import pyarrow.compute as pc

        if self.distinct:
            self.distinct = pc.count_distinct(texts).as_py() == len(texts)
        if self.many:
            return
        counted = pc.value_counts(texts)
        if len(counted) <= MOST_VALUES:
            for each in counted.to_pylist():
                self.values[each["values"]] += each["counts"]
        if len(counted) > MOST_VALUES or len(self.values) > MOST_VALUES:
            self.many = True
            self.values.clear()

    def _all(self, texts: pa.ChunkedArray, pattern: str, what: str) -> bool:
        import pyarrow.compute as pc

        fits = pc.match_substring_regex(texts, pattern)
        if not len(texts) or pc.all(fits).as_py():
            return True
        odd = texts.filter(pc.invert(fits)).slice(0, _EXAMPLES).to_pylist()
        self.odd.setdefault(what, []).extend(odd)
        return False


def _all_match(texts: pa.ChunkedArray, pattern: str) -> bool:
    import pyarrow.compute as pc

    return not len(texts) or bool(pc.all(pc.match_substring_regex(texts, pattern)).as_py())


def _format_floats(numbers: pa.Array) -> pa.Array:
    """Floats as validation writes them into a text column: 3.0 becomes "3"."""
    import pyarrow as pa

    def told(value: Any) -> str:
        return str(int(value)) if float(value).is_integer() else str(value)

    # Different values only: a column of a million measurements is not worth a million Python objects.
    encoded = numbers.dictionary_encode()
    if len(encoded.dictionary) > MOST_VALUES:
        return numbers.cast(pa.string())
    words = pa.array([told(value) for value in encoded.dictionary.to_pylist()], pa.string())
    return words.take(encoded.indices)
