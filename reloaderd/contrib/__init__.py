"""For frameworks: each imports its own only where that is loaded anyway."""
