"""Throwaway Debian servers, for `make demo`, the scenarios and the benchmarks: `python3 tools/servers up demo`.

Each module imports only those above it:

    names, host         what this checkout's things are called; commands, locks and files
    recipe              what a bare server is made of
    namespace, podman   where podman runs, and how it is called
    network, leftovers  the bridge; what an interrupted run left
    records, session    the servers there are; what starts before the first and ends after the last
    image, first_boot   what a server is made from, and what is done to a new one
    containers          boot, restart and remove servers
    __main__            the command line

Standard library only: it runs before .venv is there.
"""
