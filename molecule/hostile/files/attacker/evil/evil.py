"""Nothing: its build was all."""
