"""`python -m proxy`: the same as the `polyarch` command."""

from proxy.cli import main

main()
