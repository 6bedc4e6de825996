"""`reloaderd service`: makes, lists and removes services of the user's systemd; loaded for that alone."""
