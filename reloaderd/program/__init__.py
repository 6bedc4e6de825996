"""What a Python program calls by itself: it listens to reloaderd, or has reloaderd watch over it."""
