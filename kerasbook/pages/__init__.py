"""Pages of the book that are read and not run: they have a notebook, but no `main`."""
