"""`python -m kerasbook` is the command `kerasbook`."""

from kerasbook.cli import main

main()
