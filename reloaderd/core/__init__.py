"""Pure decisions: no descriptor, no clock, no process.  `engine` is its front."""
