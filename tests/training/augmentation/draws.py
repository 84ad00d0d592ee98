"""Many draws at once: a function of a seed, for the seeds [0, 0], [0, 1] and so on."""

import numpy as np
import tensorflow as tf


def many(function, count):
    """Returns the results of `count` seeds, stacked, as an array or several."""
    seeds = tf.stack([tf.zeros(count, tf.int32), tf.range(count)], 1)

    @tf.function(autograph=False)
    def draw():
        first = function(tf.constant([0, 0]))
        types = tf.nest.map_structure(lambda value: tf.as_dtype(value.dtype), first)
        return tf.map_fn(function, seeds, fn_output_signature=types)

    return tf.nest.map_structure(np.asarray, draw())


def is_share(count, total, share, deviations=4.5):
    """Whether a count fits to a probability: so far off is one of 150,000."""
    return abs(count - total * share) <= deviations * np.sqrt(total * share * (1 - share))
