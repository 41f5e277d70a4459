"""A folder to the right to write in it: one run at a time, and none is locked out by a run that died."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow.fs as fs

from phase_diagrams.folder import Folder


class FolderBusyError(RuntimeError):
    """Another run writes in the folder."""


@contextmanager
def lock_folder(folder: Folder) -> Iterator[None]:
    """Hold the folder for this process; the lock ends with the process, however it ends. Raises FolderBusyError.

    Folders on object stores have no locks: there, two runs at a time waste work but do no harm, since equal trials
    have equal rows.
    """
    if not isinstance(folder.filesystem, fs.LocalFileSystem):
        yield
        return
    # The folder itself is locked, so that no lock file lies among the results.
    handle = os.open(folder.root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise FolderBusyError(
                    f"another run is writing in {folder.root}; wait for it, stop it, or give another folder with --out"
                ) from None
            # Some network file systems cannot lock a folder; they are treated as object stores are.
        yield
    finally:
        os.close(handle)
