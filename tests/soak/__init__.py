"""Minutes or days of whatever can happen to a real reloaderd; nothing may be missed, left or leaked."""
