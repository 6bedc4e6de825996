"""Each adapter on the real kernel."""
