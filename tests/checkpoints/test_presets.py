"""Which weights are published, and that each can be had by its name."""

import dataclasses
import re
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_poolformer
from keras_poolformer import evaluation_transform, list_presets, save_checkpoint
from keras_poolformer.builders import make_builder
from keras_poolformer.checkpoints import presets
from keras_poolformer.checkpoints.presets import IMAGENET, PRESETS, find_preset
from keras_poolformer.variants import MODELS
from tests.checkpoints.conftest import values
from tests.references import timm

PAGE = Path(__file__).parents[2] / "docs" / "checkpoints.md"
FAMILIES_OF_TIMM = ("PoolFormer", "PoolFormerV2", "ConvFormer", "CAFormer")
PUBLISHED = (*FAMILIES_OF_TIMM, "IdentityFormer", "RandFormer")
# Few blocks and channels in the place of a model's own, which its builder takes too.
TINY = {"depths": [1, 1, 1, 1], "dims": [8, 8, 32, 32]}
# Of each family the smallest model, in each of its publications.
SMALLEST = [
    name
    for name, preset in PRESETS.items()
    if next(iter(MODELS[preset.builder][0].variants)) == MODELS[preset.builder][1]
]


def test_names_and_files_are_unique():
    files = {(preset.repository, preset.file) for preset in PRESETS.values()}
    assert len(files) == len(PRESETS) == 5 + 2 * 5 + 2 * 5 + 2 * 4 * 5
    assert all(name == preset.name for name, preset in list_presets().items())
    assert len(SMALLEST) == 2 + 2 + 1 + 2 * 5


@pytest.mark.parametrize("name", PRESETS)
def test_each_says_what_it_is_of(name):
    preset = PRESETS[name]
    family, size = MODELS[preset.builder]
    assert callable(getattr(keras_poolformer, preset.builder))
    assert name.partition(".")[0] == family.model_name(size)
    assert (preset.classes == 21841) == (preset.trained_on == ("imagenet-21k",))
    assert (preset.top1 is None) == (preset.classes == 21841)
    if (preset.trained_on, preset.image_size) == (("imagenet-1k",), 224):
        assert preset.top1 == family.variants[size].top1
    elif preset.top1 is not None:
        assert preset.top1 > family.variants[size].top1
    for known, form in ((preset.sha256, "[0-9a-f]{64}"), (preset.revision, "[0-9a-f]{40}")):
        assert known is None or re.fullmatch(form, known)


def test_those_of_timm_are_those_that_timm_knows():
    theirs = {}
    for family in FAMILIES_OF_TIMM:
        for name in timm.list_models(f"{family.lower()}_*", pretrained=True):
            cfg = timm.get_pretrained_cfg(name)
            theirs[name] = (cfg.hf_hub_id, cfg.num_classes, cfg.input_size, cfg.crop_pct)
    ours = {
        name: (
            preset.repository,
            preset.classes,
            (3, preset.image_size, preset.image_size),
            MODELS[preset.builder][0].variants[MODELS[preset.builder][1]].crop_pct,
        )
        for name, preset in PRESETS.items()
        if preset.layout == "timm"
    }
    assert ours == theirs


@pytest.mark.parametrize(
    "builder", [b for b, (family, _) in MODELS.items() if family.name in PUBLISHED]
)
def test_imagenet_is_the_model_of_the_paper(builder):
    preset = IMAGENET[builder]
    assert (preset.classes, preset.image_size, preset.trained_on) == (1000, 224, ("imagenet-1k",))
    needs_pytorch = preset.builder.startswith(("IdentityFormer", "RandFormer"))
    assert preset.file.endswith(".pth" if needs_pytorch else ".safetensors")
    assert find_preset("imagenet", builder) == preset


def test_presets_of_other_models_are_refused():
    message = (
        r"`weights` must be a preset of PoolFormerV2S12: \['poolformerv2_s12.sail_in1k'\].*Rec"
    )
    with pytest.raises(
        ValueError, match=f"{message}.*'poolformer_s12', which is one of PoolFormerS"
    ):
        keras_poolformer.PoolFormerV2S12(weights="poolformer_s12")
    for name in ("imagenet", "poolformer_s12"):
        with pytest.raises(ValueError, match=f"for OtherS12, of which no weights.*'{name}'"):
            find_preset(name, "OtherS12")
    with pytest.raises(ValueError, match="did you mean 'caformer_s18.sail_in1k_384'"):
        keras_poolformer.load_model("CAFormer_S18.sail_in1k384")


# === Downloads ===


@pytest.fixture
def publish(hub, monkeypatch, tmp_path):
    """A function that puts a tiny model on the hub in the place of a preset's."""

    def put(name):
        preset = dataclasses.replace(PRESETS[name], sha256=None, revision=None)
        source = make_builder(*MODELS[preset.builder])(
            **TINY, classes=preset.classes, input_shape=(preset.image_size, preset.image_size, 3)
        )
        rng = np.random.default_rng(0)
        source.set_weights([rng.normal(size=w.shape).astype("float32") for w in source.weights])
        path = tmp_path / Path(preset.file).name
        save_checkpoint(source, path, preset.layout)
        hub.files[preset.repository, preset.file] = path.read_bytes()
        monkeypatch.setitem(PRESETS, name, preset)
        return preset, source

    return put


@pytest.mark.parametrize("name", SMALLEST)
def test_a_preset_becomes_the_model_it_is_of(name, publish):
    preset, source = publish(name)
    model = keras_poolformer.load_model(name, **TINY)
    assert model.name == name.partition(".")[0]
    assert model.classes == preset.classes
    assert model.input_shape == (None, preset.image_size, preset.image_size, 3)
    assert values(model).keys() == values(source).keys()
    for path, value in values(source).items():
        np.testing.assert_array_equal(values(model)[path], value, err_msg=path)
    assert evaluation_transform(model).height == preset.image_size


def test_the_size_of_images_follows_the_preset_and_stays_free(publish):
    name = "caformer_s18.sail_in1k_384"
    publish(name)
    build = keras_poolformer.CAFormerS18
    assert build(weights=name, **TINY).input_shape == (None, 384, 384, 3)
    assert build(weights=name, data_format="channels_first", **TINY).input_shape == (
        None, 3, 384, 384,
    )  # fmt: skip
    transform = evaluation_transform(build(weights=name, **TINY))
    assert (transform.height, transform.width, transform.crop_pct) == (384, 384, 1.0)
    assert build(weights=name, input_shape=(224, 256, 3), **TINY).input_shape[1:3] == (224, 256)
    assert build(weights=name, include_top=False, **TINY).input_shape == (None, None, None, 3)
    image = keras.Input((160, 160, 3))
    assert build(weights=name, input_tensor=image, **TINY).input_shape == (None, 160, 160, 3)
    on_pixels = build(weights=name, input_tensor=image / 255.0, **TINY)
    assert on_pixels.input_shape == (None, 160, 160, 3)


@pytest.mark.parametrize(
    ("name", "builder", "arguments", "message"),
    [
        (
            "caformer_s18.sail_in22k",
            keras_poolformer.CAFormerS18,
            {},
            "`classes` must be 21841 for `weights='caformer_s18.sail_in22k'`.*classes=1000",
        ),
        (
            "convformer_s18.sail_in22k_ft_in1k",
            keras_poolformer.ConvFormerS18,
            {"classes": 21841},
            "`classes` must be 1000.*Received: classes=21841",
        ),
        (
            "imagenet",
            keras_poolformer.RandFormerS12,
            {"input_shape": (256, 224, 3)},
            r"`input_shape` must be \(224, 224, 3\) for `weights='randformer_s12'`. Received: "
            r"\(256, 224, 3\). Random mixing.*one size of image",
        ),
        (
            "imagenet",
            keras_poolformer.PoolFormerV2S12,
            {"input_shape": (64, 64, 1)},
            "`input_shape` must have 3 channels.*Received: 1 channels",
        ),
    ],
)
def test_what_cannot_fit_is_refused_before_a_download(name, builder, arguments, message, hub):
    with pytest.raises(ValueError, match=message):
        builder(weights=name, **TINY, **arguments)
    assert hub.requests == []


def test_the_classes_of_imagenet_21k_have_no_names_here():
    with pytest.raises(ValueError, match="None for 21841 classes, those of ImageNet-21k, whose"):
        keras_poolformer.decode_predictions(np.zeros((1, 21841), "float32"))
    names = [f"class {number}" for number in range(21841)]
    probabilities = np.zeros((1, 21841), "float32")
    probabilities[0, 7] = 1
    assert keras_poolformer.decode_predictions(probabilities, 1, names)[0][0].name == "class 7"


def test_a_backbone_of_imagenet_21k_needs_no_classes(publish):
    _, source = publish("convformer_s18.sail_in22k")
    backbone = keras_poolformer.load_model(
        "convformer_s18.sail_in22k", include_top=False, pooling="avg", **TINY
    )
    np.testing.assert_array_equal(values(backbone)["norm/gamma"], values(source)["norm/gamma"])


# === Documentation ===


def documented():
    """The rows that the tables of the page must have."""
    for preset in PRESETS.values():
        if len(MODELS[preset.builder][0].variants) == 5:
            known = "yes" if preset.sha256 else "no"
            if preset.revision:
                known += ", and the commit"
            yield (
                f"| `{preset.name}` | {preset.repository} | {preset.file} | {known} | "
                f"{preset.top1} % |"
            )
    for builder in presets._TOP1:
        family, size = MODELS[builder]
        cells = []
        for training in ("", "_384", "22k_ft_in1k", "22k_ft_in1k_384"):
            start = "sail_in1k" if not training.startswith("22k") else "sail_in"
            cells.append(f"{PRESETS[f'{family.model_name(size)}.{start}{training}'].top1} %")
        yield f"| `{family.model_name(size)}` | {' | '.join(cells)} |"


def test_the_page_lists_every_preset():
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = list(documented())
    assert [row for row in rows if row not in lines] == []
    covered = [line for line in lines if re.match(r"\| `\w+former(v2)?_", line)]
    assert len(covered) == len(rows)
