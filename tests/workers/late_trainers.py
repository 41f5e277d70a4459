"""The fake training, in a module that all processes but the first take seconds to import: actors that come up late."""

import os
import time
from pathlib import Path

from tests.workers.trainers import CONTROL, train_fake

__all__ = ["train_fake"]

SECONDS = 3.0

try:
    (Path(os.environ[CONTROL]) / "imported").touch(exist_ok=False)
except FileExistsError:
    time.sleep(SECONDS)
