"""`saephase worker` with a training function that trains nothing."""

import sys

import saephase.worker_command
from saephase.command import main
from tests.workers.trainers import TRAIN_FAKE

if __name__ == "__main__":
    saephase.worker_command.TRAIN = TRAIN_FAKE
    sys.exit(main(["worker", *sys.argv[1:]]))
