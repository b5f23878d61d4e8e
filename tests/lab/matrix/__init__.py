"""The client matrix: which image every kind of client gets of every kind of tag, through polyarch.

- `columns`: the tags, and what polyarch offers of each.
- `rules`: how clients choose out of what they are offered.
- `document`: the table in `docs/client-matrix.md`, written and read.
"""
