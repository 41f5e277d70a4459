"""The output folder: the one place where finished trials live, each file whole or not there at all."""

import io
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as fs
import pyarrow.parquet as pq

from phase_diagrams.tables import KEYS, NOT_DETERMINED, TRIALS
from phase_diagrams.trial import content_digest

T = TypeVar("T")

PACKS = "packs"
SET_ASIDE = "set_aside"
TRIALS_FILE = "trials.parquet"
AT_A_TIME = 32
"""Files of rows that are read or deleted at a time; heuristic: an object store answers after 5 to 50 ms, however many
files it is asked for, and a large job has thousands."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder on any file system that pyarrow knows: local, NFS, S3."""

    filesystem: fs.FileSystem
    root: str

    def path(self, name: str) -> str:
        """Full path of a name inside the folder."""
        return f"{self.root}/{name}"

    def exists(self, name: str) -> bool:
        """Whether a file of this name is there."""
        return bool(self.filesystem.get_file_info(self.path(name)).type == fs.FileType.File)

    def names(self, under: str = "") -> list[str]:
        """Names of the files directly under a subfolder (the folder itself by default), sorted."""
        selector = fs.FileSelector(self.path(under) if under else self.root, allow_not_found=True)
        prefix = f"{under}/" if under else ""
        files = [entry.base_name for entry in self.filesystem.get_file_info(selector) if entry.is_file]
        return sorted(prefix + name for name in files if not name.startswith(".writing-"))

    def read(self, name: str) -> bytes:
        """A file's bytes; raises FileNotFoundError."""
        with self.filesystem.open_input_stream(self.path(name)) as stream:
            return bytes(stream.read())

    def write(self, name: str, content: bytes) -> None:
        """Write a file elsewhere, then rename it, so that no reader ever sees a part of it.

        Object stores show an object only once it is whole, and have no rename: there it is written in place.
        """
        target = self.path(name)
        if not isinstance(self.filesystem, fs.LocalFileSystem):
            with self.filesystem.open_output_stream(target) as stream:
                stream.write(content)
            return
        parent = Path(target).parent
        parent.mkdir(parents=True, exist_ok=True)
        temporary = parent / f".writing-{uuid.uuid4().hex}"
        try:
            temporary.write_bytes(content)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def move(self, name: str, to: str) -> None:
        """Rename a file inside the folder."""
        if isinstance(self.filesystem, fs.LocalFileSystem):
            Path(self.path(to)).parent.mkdir(parents=True, exist_ok=True)
        self.filesystem.move(self.path(name), self.path(to))

    def delete(self, name: str) -> None:
        """Delete a file."""
        self.filesystem.delete_file(self.path(name))


def open_folder(location: str) -> Folder:
    """Open a folder by path or URI (s3://bucket/folder, file:///...), making a local one if it is missing."""
    if "://" in location:
        filesystem, root = fs.FileSystem.from_uri(location)
    else:
        filesystem, root = fs.LocalFileSystem(), str(Path(location).absolute())
    if isinstance(filesystem, fs.LocalFileSystem):
        Path(root).mkdir(parents=True, exist_ok=True)
    return Folder(filesystem, root.rstrip("/"))


def write_pack(folder: Folder, pack_id: str, rows: pa.Table) -> None:
    """Write the rows of one pack as packs/pack-<id>.parquet."""
    folder.write(f"{PACKS}/pack-{pack_id}.parquet", table_bytes(rows.cast(TRIALS)))


def table_bytes(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file with page checksums."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue()


@dataclass(frozen=True, slots=True)
class Finished:
    """What a folder holds: the ids of its finished trials, and the files that had to be set aside, with reasons."""

    trial_ids: frozenset[str]
    set_aside: tuple[tuple[str, str], ...]


def find_finished(folder: Folder) -> Finished:
    """List the finished trials; a corrupt or foreign file is moved to set_aside/ and its trials count as missing."""

    def look(name: str) -> tuple[list[str], str]:
        try:
            return _read_rows(folder, name)["trial_id"].to_pylist(), ""
        except (pa.ArrowException, ValueError, OSError) as error:
            folder.move(name, f"{SET_ASIDE}/{uuid.uuid4().hex[:8]}-{name.rpartition('/')[2]}")
            return [], " ".join(str(error).split())[:200] or type(error).__name__

    names = _row_files(folder)
    looks = _side_by_side(look, names)
    found = frozenset(trial_id for trial_ids, _ in looks for trial_id in trial_ids)
    return Finished(found, tuple((name, why) for name, (_, why) in zip(names, looks, strict=True) if why))


def read_trials(folder: Folder, wanted: Iterable[str] | None = None) -> pa.Table:
    """The finished rows, each trial once; in the order of `wanted` if given (missing ones are left out)."""
    tables = _tables(folder)
    return _pick(pa.concat_tables(tables) if tables else TRIALS.empty_table(), wanted)


def _pick(rows: pa.Table, wanted: Iterable[str] | None) -> pa.Table:
    ids = rows["trial_id"].to_pylist()
    place = {trial_id: index for index, trial_id in reversed(list(enumerate(ids)))}
    order = sorted(place) if wanted is None else [trial_id for trial_id in wanted if trial_id in place]
    return rows.take(pa.array([place[trial_id] for trial_id in order], pa.int64()))


def read_keys(folder: Folder) -> pa.Table:
    """The columns that name a trial, of all finished rows, each trial once."""
    tables = [table.select(KEYS) for table in _tables(folder)]
    rows = pa.concat_tables(tables) if tables else TRIALS.empty_table().select(KEYS)
    places = {trial_id: place for place, trial_id in reversed(list(enumerate(rows["trial_id"].to_pylist())))}
    return rows.take(pa.array(sorted(places.values()), pa.int64()))


def merge_packs(folder: Folder, wanted: list[str]) -> pa.Table:
    """Write trials.parquet with the wanted rows in their order, then drop the pack files it replaces.

    Rows of other specs that lie in the folder stay under packs/, so that nothing is lost.
    """
    packs = folder.names(PACKS)
    rows = read_trials(folder)
    surplus = rows.filter(pc.invert(pc.is_in(rows["trial_id"], pa.array(wanted, pa.string()))))
    kept = ""
    if surplus.num_rows:
        kept = f"{PACKS}/pack-{content_digest(surplus['trial_id'].to_pylist())}.parquet"
        folder.write(kept, table_bytes(surplus))
    merged = _pick(rows, wanted)
    folder.write(TRIALS_FILE, table_bytes(merged))
    _side_by_side(folder.delete, [name for name in packs if name != kept])
    return merged


def same_results(one: pa.Table, other: pa.Table) -> bool:
    """Whether two tables hold the same rows in the same order, all that is determined being equal bit for bit."""
    one, other = (table.drop_columns(list(NOT_DETERMINED)).combine_chunks() for table in (one, other))
    return table_bytes(one) == table_bytes(other)


def _tables(folder: Folder) -> list[pa.Table]:
    return _side_by_side(lambda name: _read_rows(folder, name), _row_files(folder))


def _side_by_side(act: Callable[[str], T], names: list[str]) -> list[T]:
    """What comes of each name, in their order."""
    if len(names) < 2:
        return [act(name) for name in names]
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return list(pool.map(act, names))


def _row_files(folder: Folder) -> list[str]:
    whole = [TRIALS_FILE] if folder.exists(TRIALS_FILE) else []
    return whole + [name for name in folder.names(PACKS) if name.endswith(".parquet")]


def _read_rows(folder: Folder, name: str) -> pa.Table:
    """Read a file of rows whole, checking page checksums and the schema; raises ArrowException or ValueError."""
    table = pq.read_table(io.BytesIO(folder.read(name)), page_checksum_verification=True)
    if not table.schema.equals(TRIALS):
        raise ValueError("its columns are not those of trials.parquet")
    if table["trial_id"].null_count:
        raise ValueError("it has rows without a trial_id")
    return pa.Table.from_arrays(table.columns, schema=TRIALS)
