"""Reads the configuration file: loaded when one is read, and unloaded after."""
