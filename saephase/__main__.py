"""`python -m saephase` to the command `saephase`."""

import sys

from saephase.command import main

if __name__ == "__main__":
    sys.exit(main())
