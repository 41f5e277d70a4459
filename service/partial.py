"""The rows that a job has finished so far to its conditions and its diagram, once per set of pack files."""

import contextlib
import hashlib
import io
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as fs

from phase_diagrams.folder import PACKS, TRIALS_FILE, Folder
from phase_diagrams.spec import JobSpec

JSON, CSV = "application/json", "text/csv"
ARROW, PARQUET = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
TABLE_TYPES = (JSON, CSV, ARROW, PARQUET)

VEGA_LITE = "application/vnd.vegalite.v6+json"
PICTURES = {
    JSON: "phase_diagram.vl.json",
    VEGA_LITE: "phase_diagram.vl.json",
    "image/png": "phase_diagram.png",
    "image/svg+xml": "phase_diagram.svg",
    "application/pdf": "phase_diagram.pdf",
}
"""Media types of a diagram, and the file of the report that each is."""

COMPARISONS = {
    JSON: "difference.json",
    VEGA_LITE: "difference.vl.json",
    "image/png": "difference.png",
    "image/svg+xml": "difference.svg",
    "application/pdf": "difference.pdf",
}
"""Media types of a comparison of two diagrams, and its file that each is."""


@dataclass(frozen=True, slots=True)
class Cache:
    """Keeps what was made last, up to a number of bytes; makes each thing once at a time."""

    limit: int = 64 * 2**20
    _kept: OrderedDict[str, dict[str, bytes]] = field(default_factory=OrderedDict)
    _making: dict[str, threading.Lock] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: str, make: Callable[[], dict[str, bytes]]) -> dict[str, bytes]:
        """What is kept under the key, made now if there is nothing."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        try:
            with making:
                with self._lock:
                    kept = self._kept.get(key)
                    if kept is not None:
                        self._kept.move_to_end(key)
                        return kept
                made = make()
                with self._lock:
                    self._kept[key] = made
                    while len(self._kept) > 1 and self._size() > self.limit:
                        self._kept.popitem(last=False)
                return made
        finally:
            with self._lock:
                self._making.pop(key, None)

    def _size(self) -> int:
        return sum(len(content) for files in self._kept.values() for content in files.values())


def row_files_key(folder: Folder, job_id: str, whole: bool) -> str:
    """A digest of which files of rows the folder has now; `whole` adds whether the job has succeeded."""
    selector = fs.FileSelector(folder.path(PACKS), allow_not_found=True)
    infos = [info for info in folder.filesystem.get_file_info(selector) if info.base_name.endswith(".parquet")]
    infos.append(folder.filesystem.get_file_info(folder.path(TRIALS_FILE)))
    names = sorted((info.base_name, info.size or 0, info.mtime_ns or 0) for info in infos if info.is_file)
    return hashlib.sha256(repr((job_id, whole, names)).encode()).hexdigest()


def read_rows(folder: Folder, columns: Sequence[str] = (), where: pc.Expression | None = None) -> pa.Table:
    """Finished rows, each trial once; a file that is corrupt, or is merged away at this moment, is passed over.

    `columns` are those of TRIALS, all but the vectors if empty; trial_id is always among them. `where` picks rows.
    Nothing is moved: only the worker that holds the job sets files aside.
    """
    import pyarrow.parquet as pq

    from phase_diagrams.tables import TRIALS

    # Vectors are a row's bulk, and no table or picture of conditions needs them.
    chosen = {"trial_id", *columns} if columns else set(TRIALS.names) - {"feature_cosine"}
    columns = [name for name in TRIALS.names if name in chosen]
    schema = pa.schema([TRIALS.field(name) for name in columns])
    for _ in range(5):
        packs = [name for name in folder.names(PACKS) if name.endswith(".parquet")]
        names = [*packs, *([TRIALS_FILE] if folder.exists(TRIALS_FILE) else [])]
        tables = []
        merged = False
        for name in names:
            try:
                content = io.BytesIO(folder.read(name))
                table = pq.read_table(content, columns=columns, filters=where, page_checksum_verification=True)
            except FileNotFoundError:
                merged = True  # trials.parquet was written meanwhile, and holds these rows: look again
                break
            except (pa.ArrowException, OSError, ValueError):
                continue
            with contextlib.suppress(pa.ArrowException, ValueError):
                # A cast, not a comparison: Parquet has names of its own for the inside of a list.
                tables.append(table.select(columns).cast(schema))
        if not merged:
            return _once(pa.concat_tables(tables)) if tables else schema.empty_table()
    raise OSError("the files of rows change faster than they can be read")


def _once(rows: pa.Table) -> pa.Table:
    ids = rows["trial_id"].to_pylist()
    places = {trial_id: place for place, trial_id in enumerate(ids)}
    return rows if len(places) == len(ids) else rows.take(pa.array(sorted(places.values()), pa.int64()))


def conditions_so_far(spec: JobSpec, folder: Folder, whole: bool) -> dict[str, bytes]:
    """The table of conditions as the bytes of a Parquet file; that of the report where the job has succeeded."""
    if whole and folder.exists("conditions.parquet"):
        return {PARQUET: folder.read("conditions.parquet")}
    from phase_diagrams.conditions import condition_table
    from phase_diagrams.folder import table_bytes

    return {PARQUET: table_bytes(condition_table(spec, read_rows(folder)))}


def write_table(parquet: bytes, media_type: str) -> bytes:
    """A Parquet file in the format of a media type; NaN and null are null in JSON, and empty in CSV."""
    if media_type == PARQUET:
        return parquet
    table = read_parquet(parquet)
    sink = io.BytesIO()
    if media_type == CSV:
        import pyarrow.csv as csv

        csv.write_csv(table, sink)
    else:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue()


def read_parquet(parquet: bytes) -> pa.Table:
    """The table that a Parquet file holds."""
    import pyarrow.parquet as pq

    return pq.read_table(io.BytesIO(parquet))


def table_items(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a table as JSON objects; what is not finite is null."""
    return [{name: _finite(value) for name, value in row.items()} for row in table.to_pylist()]


def _finite(value: object) -> object:
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
