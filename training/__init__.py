"""Training of PoolFormers: one script, one short recipe a task."""

from training.startup import start

start()
