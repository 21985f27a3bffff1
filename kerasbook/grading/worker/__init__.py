"""What runs beside a learner's code: it holds nothing that is worth stealing."""
