"""`python -m kerasbook.bench`."""

from kerasbook.bench import main

main()
