"""Mixup and CutMix: each image of a batch is mixed with another, and so are the labels."""

from typing import Any


def beta(alpha: float, seed: Any) -> Any:
    """Returns a number of the distribution Beta(alpha, alpha), float32."""
    import tensorflow as tf

    # The share of one of two gamma variables. Those of a small alpha are often too small
    # for float32, so their logarithms are drawn: Gamma(a) is Gamma(a + 1) U^(1/a).
    seeds = tf.random.split(seed, 2)
    gammas = tf.random.stateless_gamma((2,), seeds[0], alpha + 1)
    uniform = 1 - tf.random.stateless_uniform((2,), seeds[1])  # never 0
    logarithms = tf.math.log(gammas) + tf.math.log(uniform) / alpha
    return tf.sigmoid(logarithms[0] - logarithms[1])


def cutmix_box(height: int, width: int, share: Any, seed: Any) -> tuple[Any, Any, Any, Any]:
    """Returns top, bottom, left and right of a box, int32.

    It has the image's shape and `share` of its area; its middle is anywhere, and
    what stands out is cut off.
    """
    import tensorflow as tf

    middle = tf.random.stateless_uniform((2,), seed)
    sides = []
    for size, position in ((height, middle[0]), (width, middle[1])):
        length = tf.cast(size * tf.sqrt(share), tf.int32)
        first = tf.cast(position * size, tf.int32) - length // 2
        sides += [tf.maximum(first, 0), tf.minimum(first + length, size)]
    return sides[0], sides[1], sides[2], sides[3]


def mix(
    images: Any,
    labels: Any,
    seed: Any,
    mixup: float,
    cutmix: float,
    probability: float,
    cutmix_share: float,
) -> tuple[Any, Any]:
    """Mixes each image with its mirror in the batch: the first with the last, and so on.

    The kind of mixing, its strength and the box are drawn once for the batch.

    Args:
        images: float32 (B, H, W, C).
        labels: float32 (B, classes).
        seed: int32 (2,).
        mixup: Parameter of mixup's distribution Beta; 0 for no mixup.
        cutmix: The same of CutMix.
        probability: That the batch is mixed.
        cutmix_share: Probability of CutMix for a mixed batch, if both are there.

    Returns:
        Mixed images and labels. The labels have the weights that the pixels have: of
        CutMix, the share of the box that lies in the image.

    Reference: [mixup](https://arxiv.org/abs/1710.09412);
        [CutMix](https://arxiv.org/abs/1905.04899); timm's mode "batch".
    """
    import tensorflow as tf

    if not (mixup or cutmix):
        return images, labels
    _, height, width, _ = images.shape
    seeds = tf.random.split(seed, 4)
    draws = tf.random.stateless_uniform((2,), seeds[0])
    cut_share = cutmix_share if mixup and cutmix else float(cutmix > 0)

    def mixed_up() -> tuple[Any, Any]:
        weight = beta(mixup or 1.0, seeds[1])
        return weight * images + (1 - weight) * tf.reverse(images, [0]), weight

    def cut() -> tuple[Any, Any]:
        share = 1 - beta(cutmix or 1.0, seeds[2])
        top, bottom, left, right = cutmix_box(height, width, share, seeds[3])
        rows, columns = tf.range(height), tf.range(width)
        inside = ((rows >= top) & (rows < bottom))[:, None] & (
            (columns >= left) & (columns < right)
        )[None]
        area = tf.cast((bottom - top) * (right - left), "float32") / (height * width)
        return tf.where(inside[None, ..., None], tf.reverse(images, [0]), images), 1 - area

    def unchanged() -> tuple[Any, Any]:
        return images, tf.constant(1.0)

    new, weight = tf.cond(
        draws[0] < probability, lambda: tf.cond(draws[1] < cut_share, cut, mixed_up), unchanged
    )
    new = tf.ensure_shape(new, images.shape)
    return new, weight * labels + (1 - weight) * tf.reverse(labels, [0])
