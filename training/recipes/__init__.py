"""The recipes: one module each, found by its name."""
