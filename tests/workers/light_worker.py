"""`saephase worker` that trains nothing, and needs no Ray for it."""

import sys

import workers.lease_child
from saephase.command import main

if __name__ == "__main__":
    workers.lease_child.MODULE = "tests.workers.light_lease_run"
    sys.exit(main(["worker", *sys.argv[1:]]))
