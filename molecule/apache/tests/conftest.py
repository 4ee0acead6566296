"""What the tests ask for by name."""

from edge import change, dead_application, edge, play, processes, run, state, stats  # noqa: F401 - fixtures
