"""A PDF to the same PDF with its objects in a canonical order.

vl-convert writes resources and fonts in the order of a hash table that differs from run to run; the pages are the same.
"""

import re

_REFERENCE = re.compile(rb"\b(\d+) 0 R\b")
_RESOURCES = re.compile(rb"(?:\n[ ]+/\w+ \d+ 0 R)+")
"""Neighbouring entries of a dictionary that name other objects: their order means nothing (ISO 32000-1, 7.3.7)."""

_TABLE_AT = re.compile(rb"startxref\s+(\d+)\s+%%EOF\s*$")
_TABLE = re.compile(rb"xref\s+0 (\d+)\s+")


def canonical_pdf(pdf: bytes) -> bytes:
    """Sort resources by name and number objects as they are met from the root.

    A PDF without a plain table of objects, which vl-convert does not write today, comes back as it is.
    """
    start = _TABLE_AT.search(pdf)
    table = _TABLE.match(pdf, int(start[1])) if start else None
    if not start or not table:
        return pdf
    objects, trailer = _read_objects(pdf, table.end(), int(table[1]), start)
    met: dict[int, int] = {}
    waiting = _references(trailer)[::-1]
    while waiting:
        number = waiting.pop()
        if number not in met and number in objects:
            met[number] = len(met) + 1
            waiting += _references(_split(objects[number])[0])[::-1]
    return _write_objects([_renumber(objects[number], met) for number in met], _renumber(trailer, met))


def _read_objects(pdf: bytes, first: int, count: int, start: re.Match[bytes]) -> tuple[dict[int, bytes], bytes]:
    """The bodies of all objects by number, resources sorted, and the trailer's dictionary.

    The table's `count` entries of 20 bytes (ISO 32000-1, 7.5.4) begin at `first`; `start` says where the table begins.
    """
    entries = [pdf[first + 20 * i : first + 20 * i + 18] for i in range(count)]
    offsets = {number: int(entry[:10]) for number, entry in enumerate(entries) if entry.endswith(b"n")}
    ends = dict(zip(sorted(offsets.values()), [*sorted(offsets.values())[1:], int(start[1])], strict=True))
    objects = {}
    for number, offset in offsets.items():
        body = pdf[offset : ends[offset]].strip().removeprefix(b"%d 0 obj" % number).removesuffix(b"endobj")
        head, stream = _split(body)
        objects[number] = _RESOURCES.sub(lambda run: b"\n".join(sorted(run[0].split(b"\n"))), head) + stream
    return objects, pdf[first + 20 * count : start.start()].strip().removeprefix(b"trailer")


def _split(body: bytes) -> tuple[bytes, bytes]:
    """An object's dictionary, and its stream with the keyword before it; a stream may hold anything."""
    head, keyword, stream = body.partition(b"stream\n")
    return head, keyword + stream


def _references(head: bytes) -> list[int]:
    return [int(number) for number in _REFERENCE.findall(head)]


def _renumber(body: bytes, renamed: dict[int, int]) -> bytes:
    head, stream = _split(body)
    return _REFERENCE.sub(lambda reference: b"%d 0 R" % renamed[int(reference[1])], head) + stream


def _write_objects(bodies: list[bytes], trailer: bytes) -> bytes:
    # The second line marks the file as binary, as ISO 32000-1, 7.5.2 recommends.
    out = bytearray(b"%PDF-1.7\n%\x80\x80\x80\x80\n")
    offsets = []
    for number, body in enumerate(bodies, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj%bendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(bodies) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = re.sub(rb"/Size \d+", b"/Size %d" % (len(bodies) + 1), trailer)
    return bytes(out + b"trailer" + size + b"\nstartxref\n%d\n%%%%EOF\n" % start)
