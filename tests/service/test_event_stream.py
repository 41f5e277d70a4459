"""Server-Sent Events: how the bytes are cut, and how lines end, changes nothing."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.event_stream import StreamEvent, read_stream

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
events = st.lists(
    st.tuples(st.integers(1, 10**6), st.sampled_from(["status", "progress", "message"]), texts), max_size=5
)


@given(events, st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 400), max_size=10), st.booleans())
def test_events_round_trip_however_the_bytes_are_cut(
    sent: list[tuple[int, str, str]], end: str, cuts: list[int], bom: bool
) -> None:
    lines = [": a comment", "retry: 2000", ""]
    for number, kind, text in sent:
        # Raw, so that the data holds what str.splitlines takes for ends of lines.
        data = json.dumps({"text": text}, ensure_ascii=False).replace("\r", "\\r").replace("\n", "\\n")
        lines += [f"id: {number}", f"event: {kind}", f"data: {data}", "", ": still here", ""]
    stream = (("\ufeff" if bom else "") + end.join(lines)).encode() + end.encode()
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:stop] for start, stop in pairwise(places)]
    expected = [StreamEvent(str(number), kind, {"text": text}) for number, kind, text in sent]
    assert list(read_stream(chunks)) == expected


def test_an_event_that_breaks_off_is_not_told() -> None:
    whole = b'id: 1\nevent: status\ndata: {"status": "queued"}\n\n'
    assert [event.id for event in read_stream([whole, b"id: 2\nevent: status\ndata: {}\n"])] == ["1"]


def test_ids_stay_data_lines_join_and_the_type_falls_back() -> None:
    found = list(read_stream([b'id: 7\ndata: {"a":\ndata:1}\n\ndata: {}\n\nid:8\n\n']))
    assert found == [StreamEvent("7", "message", {"a": 1}), StreamEvent("7", "message", {})]


def test_data_that_is_no_object_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a JSON object"):
        list(read_stream([b"data: [1]\n\n"]))
