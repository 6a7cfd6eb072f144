"""How an unexpected error of a request is logged: its kind and the places in the code, but not its message,
which may quote values that a customer sent."""

from __future__ import annotations

import traceback


def describe_failure(error: BaseException) -> str:
    """The error's class, what it was raised from, and the lines of code that it came through."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    parts = [
        f"{type(each).__module__}.{type(each).__qualname__} at\n"
        + "".join(traceback.format_list(traceback.extract_tb(each.__traceback__)))
        for each in chain
    ]
    return "raised from ".join(parts).rstrip()
