"""Programs whose runs come of a paused copy, compared with those that are executed."""
