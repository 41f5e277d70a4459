"""Folders of earlier jobs to rows that need no training: copied into a job's own folder as one more pack."""

import io
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as fs
import pyarrow.parquet as pq

from phase_diagrams.folder import PACKS, TRIALS_FILE, Folder, open_folder, write_pack
from phase_diagrams.tables import TRIALS
from phase_diagrams.trial import content_digest

ROUNDS = 2
"""Looks at an earlier folder: files vanish from a first one if its own job is merging them at that moment."""


def copy_rows(folder: Folder, sources: Sequence[str], wanted: Iterable[str]) -> frozenset[str]:
    """Write the rows of the wanted trials that the sources hold into the folder; the ids that are now there.

    Trials are named by content, so equal ids mean equal rows. A source that cannot be read is passed over, whole or in
    part: its trials run again. Raises OSError from the folder.
    """
    missing = set(wanted)
    tables: list[pa.Table] = []
    for source in sources:
        if not missing:
            break
        for table in _read_source(source):
            found = table.filter(pc.is_in(table["trial_id"], pa.array(sorted(missing), pa.string())))
            found = found.take(_first_places(found))
            if found.num_rows:
                tables.append(found)
                missing.difference_update(found["trial_id"].to_pylist())
    if not tables:
        return frozenset()
    rows = pa.concat_tables(tables)
    ids = rows["trial_id"].to_pylist()
    write_pack(folder, content_digest(ids), rows)
    return frozenset(ids)


def held_ids(sources: Sequence[str]) -> frozenset[str]:
    """Ids of all rows that `copy_rows` finds in the sources."""
    return frozenset(trial_id for source in sources for rows in _read_source(source) for trial_id in _ids(rows))


def _ids(rows: pa.Table) -> list[str]:
    ids: list[str] = rows["trial_id"].to_pylist()
    return ids


def _read_source(location: str) -> Iterator[pa.Table]:
    """The readable files of rows of a folder, which is left as it is, even if it is not there."""
    try:
        if "://" in location:
            folder = open_folder(location)
        else:
            # Opening a local folder would make it.
            folder = Folder(fs.LocalFileSystem(), location)
    except (OSError, ValueError):
        return
    seen: set[str] = set()
    for _ in range(ROUNDS):
        try:
            names = [TRIALS_FILE, *folder.names(PACKS)]
        except OSError:
            return
        vanished = False
        for name in names:
            if name in seen:
                continue
            try:
                yield _read(folder, name)
                seen.add(name)
            except FileNotFoundError:
                vanished = vanished or name != TRIALS_FILE
            except (pa.ArrowException, ValueError, OSError):
                seen.add(name)
        if not vanished:
            return
        seen.discard(TRIALS_FILE)


def _read(folder: Folder, name: str) -> pa.Table:
    table = pq.read_table(io.BytesIO(folder.read(name)), page_checksum_verification=True)
    if not table.schema.equals(TRIALS):
        raise ValueError("its columns are not those of trials.parquet")
    return pa.Table.from_arrays(table.columns, schema=TRIALS)


def _first_places(table: pa.Table) -> pa.Array:
    ids = table["trial_id"].to_pylist()
    return pa.array(
        sorted({trial_id: place for place, trial_id in reversed(list(enumerate(ids)))}.values()), pa.int64()
    )
