"""This project beside its peers, each run with its own tools."""
