"""`saephase` with a training function that trains nothing and a report that draws nothing."""

import functools
import sys

import saephase.run_command
import workers.job
from saephase.command import main
from tests.workers.trainers import TRAIN_FAKE

if __name__ == "__main__":
    workers.job.write_report = lambda *_, **__: None
    saephase.run_command.run_job = functools.partial(workers.job.run_job, train=TRAIN_FAKE)
    sys.exit(main())
