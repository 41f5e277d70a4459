"""The documentation site: docs/ and what the program says of itself, to pages (`make docs`)."""
