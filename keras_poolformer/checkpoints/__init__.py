"""Checkpoints of the PyTorch projects: reading, writing, and the published ones."""
