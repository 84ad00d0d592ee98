import math

import numpy as np
import pytest

from training.scores import Answers, accuracy, best_classes, per_class, wilson_interval

LABELS = [("n1", "ant"), ("n2", "bee"), ("n3", "cat"), ("n4", "dog"), ("n5", "elk"), ("n6", "fox")]


def test_best_classes():
    probabilities = np.array([[0.1, 0.2, 0.0, 0.3, 0.15, 0.25], [0.2, 0.2, 0.2, 0.1, 0.2, 0.1]])
    best = best_classes(probabilities)
    np.testing.assert_array_equal(best, [[3, 5, 1, 4, 0], [0, 1, 2, 4, 3]])
    assert best_classes(probabilities[:, :2]).shape == (2, 2)
    with pytest.raises(ValueError, match="NaN"):
        best_classes(np.array([[0.5, np.nan]]))


def test_accuracies():
    best = np.array([[0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [1, 2, 3, 4, 5], [5, 4, 3, 2, 1]])
    answers = Answers(np.array([0, 4, 0, 5]), best)
    assert len(answers) == 4
    assert answers.right(1).tolist() == [True, False, False, True]
    assert answers.right(5).tolist() == [True, True, False, True]
    assert accuracy(answers, 1)["accuracy"] == 0.5
    assert accuracy(answers, 5)["right"] == 3
    low, high = accuracy(answers, 1)["interval"]
    assert 0 < low < 0.5 < high < 1
    assert low + high == pytest.approx(1)


def test_wilson_interval():
    # A worked example: 45 of 50.
    assert wilson_interval(45, 50) == pytest.approx((0.7864, 0.9565), abs=1e-4)
    z = 1.959963984540054
    assert wilson_interval(0, 10) == pytest.approx((0, z**2 / (10 + z**2)))
    assert wilson_interval(10, 10) == pytest.approx((10 / (10 + z**2), 1))
    assert wilson_interval(0, 0) == (0, 1)
    # Its ends are the shares that the observation is z standard deviations away from.
    for end in wilson_interval(313, 1000):
        assert abs(end - 0.313) / math.sqrt(end * (1 - end) / 1000) == pytest.approx(z)


def test_per_class():
    best = np.array([[0, 1, 2, 3, 4], [2, 0, 1, 3, 4], [2, 1, 3, 4, 5], [1, 0, 2, 3, 4]])
    answers = Answers(np.array([0, 0, 0, 4]), best)
    rows = per_class(answers, LABELS, 6)
    assert rows == [
        {
            "wordnet_id": "n1",
            "class": "ant",
            "images": 3,
            "top1": pytest.approx(1 / 3, abs=1e-6),
            "top5": pytest.approx(2 / 3, abs=1e-6),
            "wrong_answer": "cat",
            "wrong_answers": 2,
        },
        {
            "wordnet_id": "n5",
            "class": "elk",
            "images": 1,
            "top1": 0,
            "top5": 1,
            "wrong_answer": "bee",
            "wrong_answers": 1,
        },
    ]
    own = per_class(Answers(np.array([1]), np.array([[1, 0]])), [(None, "a"), (None, "b")], 2)
    assert own == [
        {
            "wordnet_id": "",
            "class": "b",
            "images": 1,
            "top1": 1,
            "top5": "",
            "wrong_answer": "",
            "wrong_answers": 0,
        }
    ]
