"""How long a person waits from a save until it is served, and how many requests are refused meanwhile."""
