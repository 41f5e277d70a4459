from handbook.navigation import REST, expand

PAGES = ["index.md", "guide/a.md", "guide/b.md", "guide/deep/c.md", "scale.md", "notes/d.md"]


def test_a_pattern_takes_what_no_entry_names_in_its_own_folder() -> None:
    navigation = ["index.md", {"Guides": ["guide/b.md", "guide/*"]}, {"Deep": ["guide/deep/*"]}, "*.md"]
    assert expand(navigation, PAGES) == [
        "index.md",
        {"Guides": ["guide/b.md", "guide/a.md"]},
        {"Deep": ["guide/deep/c.md"]},
        "scale.md",
        {REST: ["notes/d.md"]},
    ]


def test_no_page_is_lost_and_none_stands_twice() -> None:
    navigation = ["index.md", {"Guides": [{"First": "guide/a.md"}, "guide/*"]}]
    told = str(expand(navigation, PAGES))
    assert all(told.count(f"'{page}'") == 1 for page in PAGES)


def test_a_section_without_pages_is_left_out() -> None:
    assert expand(["index.md", {"Empty": ["none/*"]}], ["index.md"]) == ["index.md"]
