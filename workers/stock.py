"""A job's folder and those of earlier jobs to the rows that need no training."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from phase_diagrams.folder import Folder, read_trials
from workers.reuse import copy_rows, held_ids


@dataclass(slots=True)
class FolderStock:
    """What lies in the folder when a run begins, and what can be copied into it when it is asked for."""

    folder: Folder
    finished: frozenset[str]
    """Ids of the trials in the folder."""
    sources: Sequence[str] = ()
    """Folders of earlier jobs."""
    _earlier: frozenset[str] | None = field(default=None, init=False)

    def fetch(self, trial_ids: Collection[str]) -> frozenset[str]:
        """Copy what earlier jobs have of these trials into the folder; ids of those that are there now."""
        missing = set(trial_ids) - self.finished
        if missing and self.sources:
            if self._earlier is None:
                self._earlier = held_ids(self.sources)
            if wanted := missing & self._earlier:
                self.finished |= copy_rows(self.folder, self.sources, wanted)
        return frozenset(trial_ids) & self.finished

    def read(self, trial_ids: Collection[str]) -> pa.Table:
        """Rows that were fetched, in the order of their ids."""
        return read_trials(self.folder, sorted(trial_ids))
