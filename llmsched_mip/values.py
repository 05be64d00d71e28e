"""What single values of an instance have to be for a file to hold them."""

from __future__ import annotations

from typing import Any

import numpy as np

from llmsched_mip.errors import InvalidInputError


def is_integer(value: Any) -> bool:
    """Whether a value is an integer of Python or NumPy; true and false are not."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a real number of Python or NumPy; true and false are not."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def require_text(where: str, value: Any, least: int = 1) -> None:
    """Raise `InvalidInputError` for what is no text of at least that length, or none that a file can hold."""
    if not isinstance(value, str) or len(value) < least:
        raise InvalidInputError(where, f"expected a text{' that is not empty' * (least > 0)}, got {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInputError(where, f"expected a text that UTF-8 can hold, got {value!a}") from None
