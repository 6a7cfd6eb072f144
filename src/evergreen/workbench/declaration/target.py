"""The label, made from statistics of the target column: the kind of problem, and the classes in order."""

from __future__ import annotations

from evergreen.errors import UseCaseError
from evergreen.usecase import CATEGORY_CHARACTERS, Label, Problem, Source
from evergreen.workbench.declaration.column_facts import Column
from evergreen.workbench.declaration.declared_features import describe_column

MOST_CLASSES = 50

# Words for "it happened": the class that a binary model's metrics are about.
_POSITIVE = ("1", "yes", "y", "true", "t", "positive", "pos", "bad", "default", "churned", "fraud", "spam")


def declare_label(
    column: Column, name: str, source: Source, event_time: str | None, problem: Problem | None = None
) -> Label:
    """The label for a target column.

    A number of two values makes a binary problem, any other number a regression; texts make classes. With
    `problem`, numbers are taken as that kind instead. Raises UseCaseError when the column cannot be a target.
    """
    classes = _choose_classes(column, problem)
    labelled = f"{column.rows - column.gaps:,} rows have one" if column.gaps else "every row has one"
    what = f"{', '.join(classes[:-1])} or {classes[-1]}; {labelled}" if classes else describe_column(column)
    return Label(
        name=name,
        source=source,
        meaning=f'What is predicted, column "{column.name}": {what}.',
        classes=classes,
        event_time=event_time,
        column="" if column.name == name else column.name,
    )


def _choose_classes(column: Column, problem: Problem | None) -> tuple[str, ...]:
    """The classes in order; none for a target that is predicted as a number."""
    if column.unusable or column.empty or column.infinite:
        what = column.unusable or ("has no value" if column.empty else "holds infinite numbers")
        raise UseCaseError(
            f"the target {column.name!r} {what}", hint="choose another column with --target, or mend the file"
        )
    if column.constant:
        raise UseCaseError(
            f"the target {column.name!r} is the same in every row ({next(iter(column.values))!r}):"
            " there is nothing to learn",
            hint="choose another column with --target, or a file with more kinds of rows",
        )
    words = {value: count for value, count in column.values.items() if _reads_as_number(value)}
    two = len(words) == 2 or column.boolean
    as_number = problem == "regression" or (problem is None and column.numeric and (column.many or not two))
    if as_number:
        if not column.numeric:
            odd = column.odd.get("number", ["no number"])
            raise UseCaseError(
                f"the target {column.name!r} cannot be predicted as a number: it holds {odd[0]!r}",
                hint="leave --problem out, or mend the file",
            )
        return ()
    if column.numeric and column.no_numbers:
        raise UseCaseError(
            f"the target {column.name!r} holds words such as NA in {column.no_numbers:,} rows,"
            " which would be a class of their own",
            hint="leave the field empty where the target is not known",
        )
    if column.many or len(column.values) > MOST_CLASSES or column.characters > CATEGORY_CHARACTERS:
        many = "too many" if column.many else f"{len(column.values):,}"
        raise UseCaseError(
            f"the target {column.name!r} holds {many} different values; {MOST_CLASSES} classes at most can"
            " be told apart",
            hint="choose another column with --target, or sum up its values in the file first",
        )
    if problem == "binary" and len(column.values) != 2:
        raise UseCaseError(
            f"the target {column.name!r} has {len(column.values)} classes, not two",
            hint="leave --problem out, or say multiclass",
        )
    return _order_classes(column)


def _order_classes(column: Column) -> tuple[str, ...]:
    """Numbers by size, texts by name; of two texts the positive class is last, else the rarer one."""
    numbers = column.numeric and not column.boolean
    names = sorted(column.values, key=(lambda v: (float(v), v)) if numbers else str)
    if len(names) != 2 or numbers:
        return tuple(names)
    happened = [name for name in names if name.lower() in _POSITIVE]
    last = happened[0] if len(happened) == 1 else min(names, key=lambda name: (column.values[name], name))
    return (*(name for name in names if name != last), last)


def _reads_as_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return value.lower() not in ("nan",)
