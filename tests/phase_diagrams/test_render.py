import json
import re
import struct
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

import pytest

from phase_diagrams.conditions import condition_table
from phase_diagrams.figure import Diagram, diagram
from phase_diagrams.panel import boundary_table, trace_boundaries
from phase_diagrams.pdf import canonical_pdf
from phase_diagrams.render import draw
from tests.phase_diagrams.synthetic_trials import small_spec, synthetic_trials

HOSTILE = "</script><script>alert(1)</script> & <b>'\"</b>"


@pytest.fixture(scope="module")
def picture() -> Diagram:
    spec = small_spec(HOSTILE, activation=["topk:2", "relu"])
    conditions = condition_table(spec, synthetic_trials(spec, missing=0.4))
    return diagram(spec, conditions, boundary_table(trace_boundaries(spec, conditions)))


@pytest.fixture(scope="module")
def files(picture: Diagram) -> dict[str, bytes]:
    return draw(picture)


def test_the_five_files_are_what_their_names_say(files: dict[str, bytes]) -> None:
    assert set(files) == {f"phase_diagram.{kind}" for kind in ("vl.json", "html", "png", "svg", "pdf")}
    assert json.loads(files["phase_diagram.vl.json"])["$schema"].startswith(
        "https://vega.github.io/schema/vega-lite/v6"
    )
    assert files["phase_diagram.png"].startswith(b"\x89PNG\r\n")
    assert files["phase_diagram.pdf"].startswith(b"%PDF-")
    assert files["phase_diagram.html"].startswith(b"<!DOCTYPE html>")


def test_drawing_twice_gives_the_same_bytes(files: dict[str, bytes], picture: Diagram) -> None:
    again = draw(picture)
    assert [name for name in files if files[name] != again[name]] == []


def test_the_png_is_the_svg_at_twice_its_size(files: dict[str, bytes]) -> None:
    root = ElementTree.fromstring(files["phase_diagram.svg"])
    width, height = struct.unpack(">II", files["phase_diagram.png"][16:24])
    assert width == pytest.approx(2 * float(root.attrib["width"]), abs=2)
    assert height == pytest.approx(2 * float(root.attrib["height"]), abs=2)


def test_the_svg_holds_titles_axes_notes_and_caption(files: dict[str, bytes]) -> None:
    root = ElementTree.fromstring(files["phase_diagram.svg"])
    text = " ".join("".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text"))
    for words in ("topk:2, α = 0", "relu, α = 0", "sparsity S", "hidden dimension n_m", "0.95", "no boundary in range"):
        assert words in text
    assert "Identified: at least" in text


def test_no_words_leave_the_page(files: dict[str, bytes]) -> None:
    root = ElementTree.fromstring(files["phase_diagram.svg"])
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    words = list(_words(root, 0.0, 0.0))
    assert len(words) > 40
    for x, y, text, left in words:
        assert 0 <= x <= width
        assert 0 <= y <= height
        if left:
            # 4 pixels are less than the mean width of a letter at the smallest size in use.
            assert x + 4 * len(text) <= width, text


def _words(node: ElementTree.Element, x: float, y: float) -> Iterator[tuple[float, float, str, bool]]:
    """Every text of an SVG: where its anchor is, what it says, and whether it runs to the right from there."""
    moved = re.match(r"translate\(([-\d.]+),([-\d.]+)\)(.*)", node.attrib.get("transform", ""))
    if moved:
        x, y = x + float(moved[1]), y + float(moved[2])
    if node.tag.endswith("}text"):
        turned = bool(moved and "rotate" in moved[3])
        yield x, y, "".join(node.itertext()), node.attrib.get("text-anchor") == "start" and not turned
    for child in node:
        yield from _words(child, x, y)


def test_every_clip_that_is_used_exists(files: dict[str, bytes]) -> None:
    svg = files["phase_diagram.svg"].decode()
    names = re.findall(r'\bid="([^"]+)"', svg)
    assert len(names) == len(set(names))
    assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= set(names)


def test_the_page_is_whole_and_a_name_cannot_break_out_of_it(files: dict[str, bytes]) -> None:
    page = files["phase_diagram.html"].decode()
    assert page.count("<script") == page.count("</script>") == 3
    # The library is one of the three scripts; in what is ours, nothing is fetched.
    ours = [part for part in re.split(r"(<script>.*?</script>)", page, flags=re.DOTALL) if len(part) < 400_000]
    assert len(ours) > 2
    assert not re.search(r"\ssrc=|\shref=|<link\b|@import", "".join(ours))
    assert "default-src 'none'" in page
    title = re.search(r"<title>(.*?)</title>", page)
    assert title
    assert "<" not in title[1]
    source = re.search(r'<script type="application/json" id="source">(.*?)</script>', page, re.DOTALL)
    assert source
    assert json.loads(source[1]) == json.loads(files["phase_diagram.vl.json"])


def _pdf(order: list[int], shuffled: bool) -> bytes:
    """A small PDF of five objects, numbered as `order` says, its resources in one of two orders."""
    catalog, pages, page, one, two = order
    fonts = [b"\n      /f0 %d 0 R" % one, b"\n      /f1 %d 0 R" % two]
    bodies = {
        catalog: b"<<\n  /Type /Catalog\n  /Pages %d 0 R\n>>" % pages,
        pages: b"<<\n  /Type /Pages\n  /Count 1\n  /Kids [%d 0 R]\n>>" % page,
        page: b"<<\n  /Type /Page\n  /Font <<" + b"".join(fonts[::-1] if shuffled else fonts) + b"\n    >>\n>>",
        one: b"<<\n  /Length 7\n>>\nstream\n9 0 R \x00\nendstream",
        two: b"<<\n  /Length 4\n>>\nstream\nabcd\nendstream",
    }
    out, offsets = bytearray(b"%PDF-1.7\n"), {}
    for number in sorted(bodies):
        offsets[number] = len(out)
        out += b"%d 0 obj\n%b\nendobj\n\n" % (number, bodies[number])
    start = len(out)
    out += b"xref\n0 6\n0000000000 65535 f\r\n"
    out += b"".join(b"%010d 00000 n\r\n" % offsets[number] for number in sorted(bodies))
    return bytes(out + b"trailer\n<<\n  /Size 6\n  /Root %d 0 R\n>>\nstartxref\n%d\n%%%%EOF" % (catalog, start))


@pytest.mark.parametrize("order", [[1, 2, 3, 4, 5], [5, 4, 3, 2, 1], [2, 5, 1, 4, 3]])
@pytest.mark.parametrize("shuffled", [False, True])
def test_a_pdf_has_one_canonical_form(order: list[int], shuffled: bool) -> None:
    canonical = canonical_pdf(_pdf(order, shuffled))
    assert canonical == canonical_pdf(_pdf([1, 2, 3, 4, 5], False))
    assert canonical_pdf(canonical) == canonical
    # What looks like a reference inside a stream is left alone.
    assert b"stream\n9 0 R \x00\nendstream" in canonical


def test_the_table_of_a_canonical_pdf_points_at_its_objects(files: dict[str, bytes]) -> None:
    pdf = files["phase_diagram.pdf"]
    start = int(pdf.rsplit(b"startxref\n", 1)[1].split()[0])
    entries = re.findall(rb"(\d{10}) 00000 n", pdf[start:])
    assert entries
    for number, offset in enumerate(entries, start=1):
        assert pdf[int(offset) :].startswith(b"%d 0 obj" % number)


@pytest.mark.parametrize("content", [b"", b"not a pdf", b"%PDF-1.7\nstartxref\n12\n%%EOF"])
def test_what_is_no_plain_pdf_comes_back_as_it_is(content: bytes) -> None:
    assert canonical_pdf(content) == content
