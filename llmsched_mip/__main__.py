"""`python -m llmsched_mip` is the program `llmsched`."""

import sys

from llmsched_mip.cli import main

if __name__ == "__main__":
    sys.exit(main())
