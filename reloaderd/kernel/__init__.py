"""One kernel object a module, each with the facts that shaped it."""
