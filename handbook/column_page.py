"""The Parquet schemas to a reference of every column."""

import pyarrow as pa

from handbook.table import code, table, words
from phase_diagrams import tables

FILES: dict[str, tuple[pa.Schema, str]] = {
    "trials.parquet": (
        tables.TRIALS,
        "One row per training; the files under `packs/` have the same columns.",
    ),
    "conditions.parquet": (
        tables.CONDITIONS,
        "One row per sparsity, hidden_dim, activation and exponent.",
    ),
    "boundary.parquet": (tables.BOUNDARY, "The P = 1/2 level set: one row per place and crossing."),
    "reweighting.parquet": (tables.REWEIGHTING, "After an exponent search: one row per condition that was searched."),
    "difference.parquet": (tables.DIFFERENCE, "Of `saephase diff`: one row per condition and statistic."),
    "displacement.parquet": (tables.DISPLACEMENT, "Of `saephase diff`: how far the boundaries lie apart."),
    "cut.parquet": (tables.CUT, "Of `saephase cut`: one row per place, quantity and start."),
}
"""Every table that is written, with what a row is."""


def column_page() -> str:
    """A section per file, with a table of its columns."""
    return "\n\n".join(
        f"## {name}\n\n{said}\n\n{table(('column', 'type', 'unit', 'meaning'), map(_row, schema))}"
        for name, (schema, said) in FILES.items()
    )


def _row(field: pa.Field) -> tuple[str, ...]:
    kind = f"list of {field.type.value_type}" if pa.types.is_list(field.type) else str(field.type)
    told = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    return (
        code(field.name),
        kind,
        told["unit"],
        words(told["description"]),
    )
