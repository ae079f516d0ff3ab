"""`python -m neurofit` runs the command `neurofit`."""

import sys

from neurofit.cli import main

if __name__ == "__main__":
    sys.exit(main())
