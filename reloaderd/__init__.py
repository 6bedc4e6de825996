"""Keeps commands running and restarts them when the files they depend on change."""

__version__ = "0.1.0"
