"""Time and memory of a PoolFormer against resolution, batch and depth."""
