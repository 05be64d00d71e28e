"""What a command raises, as an exit code and one line on standard error."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import cast

import typer

from llmsched_mip import errors
from llmsched_mip.cli import console
from llmsched_mip.errors import SchedulingError

DEBUG = "LLMSCHED_DEBUG"
# Public in every version of typer: the third class of BadParameter is the base of all its errors.
USAGE_ERRORS = cast(type[Exception], typer.BadParameter.__mro__[2])


def answer(work: Callable[[], int | None]) -> int:
    """The exit code of the work; what it raises is one line on standard error."""
    try:
        return work() or errors.EXIT_DONE
    except SchedulingError as error:
        if str(error):
            console.note(f"llmsched: {' '.join(str(error).split())}")
        return error.exit_code
    except USAGE_ERRORS as error:
        message = getattr(error, "format_message", error.__str__)()
        console.note(f"llmsched: {' '.join(message.split())}")
        return errors.EXIT_USAGE
    except (KeyboardInterrupt, typer.Abort):
        console.note("llmsched: interrupted")
        return errors.EXIT_INTERRUPTED
    except MemoryError:
        console.note("llmsched: out of memory")
        return errors.EXIT_USAGE
    except BrokenPipeError:
        return errors.EXIT_BROKEN_PIPE
    except OSError as error:
        console.note(f"llmsched: {'' if error.filename is None else f'{error.filename}: '}{error.strerror or error}")
        return errors.EXIT_USAGE
    except Exception as error:
        if _of_ctrl_c(error):
            console.note("llmsched: interrupted")
            return errors.EXIT_INTERRUPTED
        return _defect(error)


def _of_ctrl_c(error: BaseException | None) -> bool:
    """Whether a Ctrl-C is behind it: compiled packages make an ImportError of one in the middle of their import."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _defect(error: Exception) -> int:
    """What should not happen: one line, and an exit code that does not say that a checked thing is not valid."""
    if DEBUG in os.environ:
        raise error
    place = traceback.extract_tb(error.__traceback__)[-1]
    what = f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
    console.note(f"llmsched: defect of the program: {' '.join(what.split())}; set {DEBUG}=1 to see where")
    return errors.EXIT_USAGE
