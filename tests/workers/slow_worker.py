"""`saephase worker` whose trainings are real, slowed down and logged."""

import sys

import saephase.worker_command
from saephase.command import main
from tests.workers.trainers import TRAIN_SLOWLY

if __name__ == "__main__":
    saephase.worker_command.TRAIN = TRAIN_SLOWLY
    sys.exit(main(["worker", *sys.argv[1:]]))
