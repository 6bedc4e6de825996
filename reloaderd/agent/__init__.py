"""Runs inside the managed Python program and tells which files it loads.

This directory goes on the program's PYTHONPATH.  Nothing here is imported by reloaderd, and nothing here
imports reloaderd.
"""
