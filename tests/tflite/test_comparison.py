import numpy as np
import pytest

from tflite.comparison import compare_outputs


def compared(expected, received, labels=None, **arguments):
    return compare_outputs(np.array(expected), np.array(received), labels, **arguments)


def test_what_is_counted():
    result = compared([[0.9, 0.1], [0.2, 0.8]], [[0.9, 0.1], [0.7, 0.3]], np.zeros(2))
    assert (result.keras_accuracy, result.litert_accuracy, result.agreement) == (0.5, 1, 0.5)
    assert (result.images, result.disagreements) == (2, 1)
    assert result.difference == pytest.approx(0.5)
    problem = "LiteRT and Keras disagree: 1 of 2 images have another first class, at most 10% may"
    assert result.problems(-100, disagreement=0.1) == [problem]
    assert result.problems(-100, disagreement=0.5) == []


def test_a_tie_is_no_disagreement():
    result = compared([[0.50001, 0.49999]], [[0.49999, 0.50001]])
    assert (result.agreement, result.disagreements) == (0, 0)
    assert result.problems(-100, disagreement=0) == []


def test_same_classes_with_other_probabilities_do_not_agree():
    (problem,) = compared([[0.9, 0.1]], [[0.8997, 0.1003]]).problems(100)
    assert "dB, at least 100 are needed" in problem


def test_what_is_no_number_does_not_agree():
    (problem,) = compared([[0.9, 0.1]], [[float("nan"), 0.1]]).problems(-100)
    assert "-inf dB" in problem


@pytest.mark.parametrize("outputs", [("logits", "probabilities"), ("probabilities", "logits")])
def test_logits_are_compared_with_the_probabilities_of_the_same_model(outputs):
    logits = np.array([[0.0, np.log(3)], [1.0, 1.0]])
    values = {"logits": logits, "probabilities": np.array([[0.25, 0.75], [0.5, 0.5]])}
    result = compared(*(values[kind] for kind in outputs), np.array([1, 0]), outputs=outputs)
    assert result.difference == pytest.approx(0, abs=1e-12)
    assert result.sqnr_db > 100
    assert result.keras_accuracy == 1


def test_features_have_no_classes():
    features = np.ones((2, 3, 3, 4))
    result = compared(features, features * 1.01, outputs=("features", "features"))
    assert result.sqnr_db == pytest.approx(40)
    assert result.agreement is result.difference is result.keras_accuracy is None
    assert result.problems(30, disagreement=0) == []
