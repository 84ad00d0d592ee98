"""Arguments that differ from stage to stage."""

from collections.abc import Sequence
from typing import Any


def check_stages(depths: Sequence[int], dims: Sequence[int]) -> None:
    """Checks that the stages are described consistently.

    Raises:
        ValueError: if the lengths differ or an entry is no positive integer.
    """
    for argument, values in (("depths", depths), ("dims", dims)):
        if (
            not isinstance(values, (list, tuple))
            or not values
            or any(not isinstance(v, int) or isinstance(v, bool) or v < 1 for v in values)
        ):
            raise ValueError(
                f"`{argument}` must be a list of positive integers, one a stage, such as "
                f"{[2, 2, 6, 2] if argument == 'depths' else [64, 128, 320, 512]}. "
                f"Received: {values!r}"
            )
    if len(depths) != len(dims):
        raise ValueError(
            "`depths` and `dims` must have one entry a stage each. "
            f"Received: depths={list(depths)} ({len(depths)} stages), "
            f"dims={list(dims)} ({len(dims)} stages)"
        )


def per_stage(value: Any, stages: int, argument: str) -> list[Any]:
    """Returns `value` as a list with one entry a stage.

    Raises:
        ValueError: if it is a list of another length.
    """
    if not isinstance(value, (list, tuple)):
        return [value] * stages
    if len(value) != stages:
        raise ValueError(
            f"`{argument}` must be one value, or a list with one for each of the {stages} stages. "
            f"Received: {len(value)} values, {value!r}"
        )
    return list(value)


def drop_path_schedule(rate: float, depths: Sequence[int]) -> list[list[float]]:
    """Returns the stochastic depth rate of every block, by stage.

    It grows linearly: block i of N has `rate * i / (N - 1)`, so that the first
    block is never dropped and the last one has `rate`. The only block of a
    network of one has 0.
    """
    last = max(sum(depths) - 1, 1)
    starts = [sum(depths[:stage]) for stage in range(len(depths))]
    return [
        [rate * (start + block) / last for block in range(depth)]
        for start, depth in zip(starts, depths, strict=True)
    ]
