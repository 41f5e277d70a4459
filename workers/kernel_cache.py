"""The installed package to whether its kernels are compiled, which a first run waits for; numba is not imported."""

import os
from pathlib import Path

COMPILING = (
    "the first run after an installation compiles the training kernels; the first trials come up to a minute later "
    "than in all runs after it"
)
"""What to tell somebody who waits."""


def kernels_compiled() -> bool:
    """Whether numba's cache beside the sources holds the training step as it is now.

    True, too, where the cache lies elsewhere (NUMBA_CACHE_DIR is set, or the package's folder cannot be written).
    """
    source = Path(__file__).with_name("kernels.py")
    cache = source.parent / "__pycache__"
    if os.environ.get("NUMBA_CACHE_DIR") or not os.access(cache if cache.exists() else source.parent, os.W_OK):
        return True
    changed = source.stat().st_mtime
    return any(index.stat().st_mtime >= changed for index in cache.glob("kernels.train_steps-*.nbi"))
