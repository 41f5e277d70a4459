"""The bytes of a table or a diagram to what a notebook works with: pyarrow, pandas, polars, altair."""

import io
from typing import Any, Literal

Form = Literal["arrow", "pandas", "polars"]
"""pyarrow.Table, pandas.DataFrame or polars.DataFrame; the last two if they are installed."""


def read_arrow(stream: bytes, form: Form) -> Any:
    """An Arrow stream as a table of the form."""
    import pyarrow as pa

    with pa.ipc.open_stream(stream) as reader:
        return _shape(reader.read_all(), form)


def read_parquet(parquet: bytes, form: Form) -> Any:
    """A Parquet file as a table of the form."""
    import pyarrow.parquet as pq

    return _shape(pq.read_table(io.BytesIO(parquet)), form)


def _shape(table: Any, form: Form) -> Any:
    if form == "arrow":
        return table
    if form == "pandas":
        return table.to_pandas()
    if form == "polars":
        import polars

        return polars.from_arrow(table)
    raise ValueError(f"{form!r} is no form of a table; allowed: arrow, pandas, polars")


def altair_chart(source: dict[str, Any]) -> Any:
    """A Vega-Lite source as altair's chart, which a notebook shows, and which can be saved and changed.

    How it is shown is the reader's choice (`altair.renderers`): JupyterLab draws "mimetype" without internet, "png" and
    "svg" are drawn here; altair's default loads Vega from the net.
    """
    import altair

    chart = altair.Chart.from_dict({key: value for key, value in source.items() if key != "datasets"})
    # altair would check each of thousands of rows against the schema, for as long as all the rest takes.
    chart.datasets = source.get("datasets", altair.Undefined)
    return chart
