"""How fast this library is, beside others that hold the same network."""
