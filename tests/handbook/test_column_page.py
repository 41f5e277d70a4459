import pyarrow as pa

from handbook.column_page import FILES, column_page
from phase_diagrams import tables

PAGE = column_page()


def test_every_schema_is_a_file_and_every_column_a_row() -> None:
    schemas = [value for value in vars(tables).values() if isinstance(value, pa.Schema)]
    assert [schema for schema in schemas if schema not in [told for told, _ in FILES.values()]] == []
    for name, (schema, _) in FILES.items():
        section = PAGE.partition(f"## {name}\n")[2].partition("\n## ")[0]
        rows = [line for line in section.splitlines() if line.startswith("| `")]
        assert [row.split("`")[1] for row in rows] == schema.names


def test_a_row_has_type_unit_and_meaning() -> None:
    assert "| `p_low` | double | probability | lower end of the 95 % Wilson interval of p_identified |" in PAGE
    assert "| `feature_cosine` | list of float | cosine |" in PAGE
