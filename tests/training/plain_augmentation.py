"""An augmentation with nothing in it that its test does not ask for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PlainAugmentation:
    """Crops the whole image, resizes, adds noise if asked, and mixes if asked."""

    crop_scale: tuple[float, float] | None = (1.0, 1.0)
    crops: bool = False
    noise: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_probability: float = 1.0

    def crop_window(self, height, width, seed):
        import tensorflow as tf

        if not self.crops:
            return tf.stack([0, 0, height, width])
        size = tf.maximum(tf.stack([height, width]) // 2, 1)
        share = tf.random.stateless_uniform([2], seed)
        room = tf.cast(tf.stack([height, width]) - size + 1, tf.float32)
        return tf.concat([tf.cast(share * room, tf.int32), size], 0)

    def resize(self, image, height, width, seed):
        import tensorflow as tf

        return tf.image.resize(tf.cast(image, tf.float32), (height, width), antialias=True)

    def augment(self, image, seed):
        import tensorflow as tf

        return image + self.noise * tf.random.stateless_uniform(image.shape, seed)

    def mix(self, images, labels, seed):
        import tensorflow as tf

        share = tf.random.stateless_uniform([], seed)
        return (
            share * images + (1 - share) * images[::-1],
            share * labels + (1 - share) * labels[::-1],
        )
