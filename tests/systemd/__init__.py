"""reloaderd as a service of a user, on a real systemd that boots for these tests."""
