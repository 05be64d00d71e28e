"""The program `llmsched`, from its first moment: Ctrl-C ends it with one line also while packages are imported.

This module stands outside `llmsched_mip` because importing anything of that imports the packages that take the time.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130
LINE = b"llmsched: interrupted\n"


def _end(number: int, frame: FrameType | None) -> None:
    """Nothing has begun, so nothing is to be cleaned up; an exception would get lost or changed in some packages."""
    try:
        os.write(2, LINE)
    finally:
        os._exit(INTERRUPTED)


def main() -> int:
    """Run the command line; returns the exit code."""
    # Where Ctrl-C is not to be heard (a program in the background), it stays so.
    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heard:
        signal.signal(signal.SIGINT, _end)
    from llmsched_mip.cli import main as run

    try:
        if heard:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return run()
    except KeyboardInterrupt:
        os.write(2, LINE)
        return INTERRUPTED
    finally:
        if heard:
            # All is written; in its last moments the interpreter would end with the signal in place of the exit code.
            signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
