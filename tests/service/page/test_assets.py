import json
import re
from pathlib import Path

import httpx
import pytest
import yaml
from altair import SCHEMA_VERSION

from phase_diagrams.spec import parse_spec
from phase_diagrams.tables import METRICS
from service.page_routes import PAGE
from tests.service.running import Running

ROOT = Path(__file__).parents[3]
VENDORED = {
    "vega.min.js": r't\.version="([\d.]+)"',
    "vega-lite.min.js": r'^!function.*?"use strict";var n="([\d.]+)"',
}
OWN = sorted(path for path in PAGE.rglob("*") if path.suffix in (".js", ".css", ".html") and "vendor" not in path.parts)


@pytest.mark.parametrize(("name", "pattern"), VENDORED.items())
def test_the_versions_of_other_peoples_work_are_as_stated(name, pattern):
    found = re.search(pattern, (PAGE / "vendor" / name).read_text())
    assert found is not None
    assert f"| `{name}` | {name.removesuffix('.min.js')} | {found[1]} |" in (PAGE / "vendor" / "README.md").read_text()


def test_the_pages_vega_lite_is_of_the_release_that_diagrams_are_written_for():
    stated = re.search(r"vega-lite \| (\d+\.\d+)\.", (PAGE / "vendor" / "README.md").read_text())
    assert stated is not None
    assert SCHEMA_VERSION.removeprefix("v").startswith(f"{stated[1]}.")


def test_every_vendored_package_has_its_licence():
    names = re.findall(r"^\| `[^`]+` \| (?:@[\w-]+/)?([\w-]+) \|", (PAGE / "vendor" / "README.md").read_text(), re.M)
    assert sorted(path.stem for path in (PAGE / "vendor" / "licences").iterdir()) == sorted(names)


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_nothing_of_the_page_comes_from_elsewhere_or_is_markup_made_of_text(path):
    text = path.read_text()
    addresses = set(re.findall(r"https?://[^\s\"'`)]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "https://vega.github.io/schema/vega-lite/v6.json"}
    for danger in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "style="):
        assert danger not in text


def test_every_file_that_a_file_asks_for_is_there():
    for path in OWN:
        text = path.read_text()
        for name in re.findall(r"""(?:from|import\() ?["'](\.[^"']+)["']""", text):
            assert (path.parent / name).is_file(), f"{path.name} imports {name}"
        for name in re.findall(r"""["'](/page/[^"'#]+)["']""", text):
            assert (PAGE / name.removeprefix("/page/")).is_file(), f"{path.name} asks for {name}"


def test_what_the_list_of_jobs_needs_is_asked_for_at_once():
    needed, found = {"main.js"}, set()
    while needed:
        name = needed.pop()
        found.add(name)
        imports = re.findall(r"""^import .*? from "\./([^"]+)";""", (PAGE / "js" / name).read_text(), re.M | re.S)
        needed |= set(imports) - found
    document = (PAGE / "index.html").read_text()
    preloaded = re.findall(r'<link rel="modulepreload" href="/page/js/([^"]+)">', document)
    assert sorted([*preloaded, "main.js"]) == sorted(found)


def test_modules_stay_short():
    assert max(len(path.read_text().splitlines()) for path in OWN) < 350


def test_the_examples_are_specs_and_those_of_the_repository_are_the_same():
    examples = {entry["spec"]["name"]: entry["spec"] for entry in json.loads((PAGE / "examples.json").read_text())}
    for spec in examples.values():
        assert parse_spec(spec).n_trials > 0
    for name in ("quickstart", "paper-small"):
        text = (ROOT / "examples" / f"{name}.yaml").read_text()
        assert parse_spec(examples[name]) == parse_spec(yaml.safe_load(text))


def test_the_page_has_words_for_every_metric():
    words = (PAGE / "js" / "words.js").read_text()
    listed = re.search(r"METRICS = \{(.*?)\};", words, re.S)
    assert listed is not None
    assert tuple(re.findall(r"^  (\w+):", listed[1], re.M)) == METRICS


def test_the_policy_allows_no_eval_no_inline_script_or_style_and_no_other_host(service: Running):
    answer = httpx.get(service.url + "/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "*" not in policy
    document = answer.text
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", document)


def test_files_are_asked_about_before_they_are_used_again(service: Running):
    first = httpx.get(service.url + "/page/js/main.js")
    assert first.headers["cache-control"] == "no-cache"
    assert first.headers["content-type"].startswith("text/javascript")
    again = httpx.get(service.url + "/page/js/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert httpx.get(service.url + "/page/js/../../app.py").status_code == 404
    assert httpx.get(service.url + "/page/%2e%2e/app.py").status_code == 404
