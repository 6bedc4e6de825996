"""What talks to a reloaderd that runs: status, restart, stop, pause, resume, why, events, explain."""
