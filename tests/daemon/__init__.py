"""The real command line on real trees with real programs; the ids in the names are those of the cases."""
