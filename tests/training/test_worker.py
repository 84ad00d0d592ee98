import numpy as np
import pytest

from training.worker import Worker, steps_per_epoch


def test_rows_of_a_worker_are_closed_under_reversal():
    np.testing.assert_array_equal(Worker().rows(5, True), range(5))
    np.testing.assert_array_equal(Worker(0, 2).rows(8, True), [0, 1, 6, 7])
    np.testing.assert_array_equal(Worker(1, 2).rows(8, True), [2, 3, 4, 5])
    for count, batch in ((1, 6), (2, 12), (4, 8), (3, 18)):
        parts = [Worker(rank, count).rows(batch, True) for rank in range(count)]
        assert sorted(np.concatenate(parts)) == list(range(batch))
        for rows in parts:
            assert len(rows) == batch // count
            # The reverse of a worker's rows is what it has of the reversed batch.
            np.testing.assert_array_equal(rows[::-1], batch - 1 - rows)


def test_odd_shares_are_contiguous_without_mixing():
    np.testing.assert_array_equal(Worker(1, 2).rows(6, False), [3, 4, 5])
    with pytest.raises(ValueError, match=r"`batch_size`.*twice the 2.*pairs. Received: 6"):
        Worker(1, 2).rows(6, True)


def test_rows_that_cannot_be_shared():
    with pytest.raises(ValueError, match=r"`batch_size`.*multiple of the 4.*Received: 6"):
        Worker(0, 4).rows(6, False)


@pytest.mark.parametrize("rank", [-1, 2])
def test_no_such_worker(rank):
    with pytest.raises(ValueError, match=rf"`rank`.*below `count`, 2. Received: {rank}"):
        Worker(rank, 2)


@pytest.mark.parametrize(
    ("images", "batch", "multiple", "steps"),
    [(9, 4, 1, 2), (8, 4, 1, 2), (41, 4, 4, 8), (16, 4, 4, 4), (1_281_167, 1024, 1, 1251)],
)
def test_steps_of_an_epoch(images, batch, multiple, steps):
    assert steps_per_epoch(images, batch, multiple) == steps


def test_too_few_images():
    with pytest.raises(ValueError, match=r"`batch_size`.*3 images fill 1 batch. Received: 4"):
        steps_per_epoch(3, 4)
    with pytest.raises(ValueError, match=r"9 images fill 4 batches. Received: 3"):
        steps_per_epoch(9, 3, 4)
