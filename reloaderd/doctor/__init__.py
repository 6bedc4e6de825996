"""What `reloaderd doctor` tells: what would be watched, by which means, and whether that fits."""
