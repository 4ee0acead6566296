"""Throwaway Debian servers, for `make demo`, the scenarios and the benchmarks: `python3 tools/servers up demo`."""
