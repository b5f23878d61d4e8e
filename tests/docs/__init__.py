"""The pages of `docs/` that follow from the code, and what writes them.

`python -m tests.docs`, which is `scripts/docs`, writes them; a test holds what is there against what would be written.

- `configuration`: `docs/configuration.md`, from the settings.
- `commands`: `docs/cli.md`, from the commands.
- `pages`: which pages there are.
"""
