"""What the black-box tests stand on: probe child, daemon, terminal, trees, readers of /proc."""
