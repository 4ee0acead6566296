"""A library that the service needs, and that only this repository has."""

VERSION = "1.0"
