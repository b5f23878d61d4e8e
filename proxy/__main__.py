"""`python -m proxy`: the same as the `polyarch` command."""

from proxy.cli.root import main

main()
