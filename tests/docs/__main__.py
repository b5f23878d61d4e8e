"""Writes the pages that follow from the code."""

from tests.docs.pages import PAGES

for path, write in PAGES.items():
    path.write_text(write(), "utf-8")
