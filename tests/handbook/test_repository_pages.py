from handbook.repository_pages import linked_files, move_links, place, repository_page


def test_links_from_a_page_of_docs_lead_to_pages_of_the_site() -> None:
    text = "[a](../examples/refine.yaml) [b](science.md#scores) [c](../ARCHITECTURE.md) [d](https://arxiv.org/abs/1)"
    moved = move_links(text, "docs/refinement.md", "refinement.md")
    assert moved == (
        "[a](repository/examples/refine.yaml.md) [b](science.md#scores) [c](project/architecture.md) "
        "[d](https://arxiv.org/abs/1)"
    )


def test_links_from_a_moved_document_keep_their_targets() -> None:
    text = "[a](docs/science.md) [b](docs/decisions) [c](LICENSE) [d](no/such/file.md)"
    moved = move_links(text, "ARCHITECTURE.md", place("ARCHITECTURE.md"))
    assert moved == "[a](../science.md) [b](../decisions/index.md) [c](../repository/LICENSE.md) [d](no/such/file.md)"


def test_only_files_outside_docs_become_pages() -> None:
    texts = [("docs/api.md", "[a](../examples/paper.yaml) [b](science.md) [c](../CHANGELOG.md) [d](../gone.yaml)")]
    assert linked_files(texts) == {"examples/paper.yaml"}


def test_a_file_is_shown_as_it_is() -> None:
    page = repository_page("examples/quickstart.yaml")
    assert page.startswith("# examples/quickstart.yaml\n\n````yaml\n")
    assert "n_features: 40" in page


def test_a_notebook_is_shown_as_text_and_code() -> None:
    page = repository_page("examples/notebook.ipynb")
    assert "```python\n" in page
    assert "\n## " in page
    assert '"cell_type"' not in page
    assert "](../../client.md)" in page
