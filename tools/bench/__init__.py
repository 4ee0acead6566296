"""What Slipway's stack can do next to others, in one run on throwaway servers: `make bench`."""
