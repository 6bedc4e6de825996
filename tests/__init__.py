"""The tests of reloaderd: see CONTRIBUTING.md for what each folder holds."""
