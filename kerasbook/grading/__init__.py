"""Grading: a trusted grader, an untrusted worker, and nothing but bytes between them."""
