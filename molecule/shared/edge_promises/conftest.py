"""What the tests ask for by name."""

from edge import change, dead_application, edge, play, processes, run, state, stats, visit  # noqa: F401 - fixtures
