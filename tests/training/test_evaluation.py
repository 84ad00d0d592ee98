import numpy as np
import pytest
from PIL import Image

from keras_poolformer.transform import EvaluationTransform
from training.evaluation import WORST, Mistake, evaluate
from training.labelled_images import LabelledImage, LabelledImages
from training.mistakes import save_mistakes

LABELS = [(None, name) for name in ("ant", "bee", "cat")]


class Grey:
    """Stands for a model: says "bee", the surer the brighter the image; "ant" if it is black."""

    def __init__(self):
        self.calls = []

    def __call__(self, pixels, batch_size=None):
        self.calls.append((len(pixels), batch_size))
        sure = pixels[:, 0, 0, 0] / 255
        return np.stack([0.9 * (sure == 0), sure, 0 * sure], axis=1).astype("float32")


def images(*greys, label=0):
    """Images of one grey each."""
    pixels = [np.full((4, 4, 3), grey, "uint8") for grey in greys]
    return [
        LabelledImage(f"grey {grey}", Image.fromarray(image), label)
        for grey, image in zip(greys, pixels, strict=True)
    ]


def measure(listed, batch_size=4, model=None):
    data = LabelledImages("greys", LABELS, 2, listed, len(listed))
    return evaluate(model or Grey(), data, EvaluationTransform(4, 4), batch_size, verbose=0)


def test_answers_in_order_and_full_batches():
    model = Grey()
    result = measure(images(0, 9, 0, 8, 0, 7, 0, 6, 0, 5), 4, model)
    assert result.answers.best[:, 0].tolist() == [0, 1] * 5
    assert result.answers.labels.tolist() == [0] * 10
    assert result.answers.right(1).sum() == 5
    # Later batches are filled up to the size of the first.
    assert model.calls == [(4, None), (4, 4), (2, 4)]
    assert result.images_per_second > 0
    assert result.broken == []


def test_the_worst_mistakes_come_first():
    greys = np.random.default_rng(0).permutation(np.arange(60, 160, 2)).tolist()
    result = measure(images(*greys, 0) + images(255, 254, label=1))
    assert len(result.mistakes) == WORST
    brightest = sorted(greys, reverse=True)[:WORST]
    assert [mistake.name for mistake in result.mistakes] == [f"grey {grey}" for grey in brightest]
    for mistake, grey in zip(result.mistakes, brightest, strict=True):
        assert (mistake.label, mistake.answer) == (0, 1)
        assert mistake.probability == pytest.approx(grey / 255)
        assert mistake.pixels[0, 0, 0] == grey
    # Of equals the first.
    same = [LabelledImage(str(i), image.source, 0) for i, image in enumerate(images(*[9] * 30))]
    assert [mistake.name for mistake in measure(same).mistakes] == [str(i) for i in range(WORST)]


def test_photographs_are_not_turned(tmp_path):
    """As in the pipelines that published accuracies come from."""
    exif = Image.Exif()
    exif[0x0112] = 3
    pixels = np.zeros((4, 4, 3), "uint8")
    pixels[:2] = 200
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    (mistake,) = measure([LabelledImage("turned", tmp_path / "turned.png", 0)]).mistakes
    np.testing.assert_array_equal(mistake.pixels, pixels)


def test_broken_images(tmp_path):
    gone = [LabelledImage(f"gone {i}", tmp_path / f"{i}.png", 0) for i in range(3)]
    no_image = LabelledImage("bytes", b"abc", 1)
    listed = [gone[0], *images(0, 1), gone[1], *images(2), no_image, *images(3)]
    result = measure(listed, batch_size=2)
    assert [name for name, _ in result.broken] == ["gone 0", "gone 1", "bytes"]
    assert "does not exist" in result.broken[0][1]
    assert result.broken[2][1] == "it is of no format that Pillow knows"
    assert len(result.answers) == 4
    # Half of them may be broken, more may not.
    assert len(measure(gone + images(0, 1, 2)).broken) == 3
    with pytest.raises(ValueError, match="5 images, 3 of them broken. The first is gone 0: "):
        measure(gone + images(0, 1))
    with pytest.raises(ValueError, match="0 images"):
        measure([])


def test_a_model_without_numbers():
    with pytest.raises(ValueError, match="`model` must return probabilities.*NaN"):
        measure(images(1), model=lambda pixels, batch_size: np.full((len(pixels), 3), np.nan))


@pytest.mark.parametrize("count", [0, 1, 7])
def test_picture(tmp_path, rng, count):
    labels = [(None, "a name that is far too long for a small picture"), (None, "1 $ or 2 $")]
    mistakes = [Mistake("x", rng.integers(0, 256, (30, 20, 3)).astype("uint8"), 0, 1, 0.98)] * count
    save_mistakes(mistakes, labels, tmp_path / "mistakes.png", "a $ model $ on data", "line")
    with Image.open(tmp_path / "mistakes.png") as picture:
        assert picture.width > 700
        assert picture.height > 300 * -(-max(count, 1) // 5)
        colours = len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0))
    assert (colours > 600) == (count > 0)
    assert [path.name for path in tmp_path.iterdir()] == ["mistakes.png"]
