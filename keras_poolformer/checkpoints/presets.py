"""The published weights: where they are, and what their authors report of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from keras_poolformer.variants import FAMILIES, MODELS

_IMAGENET_1K, _IMAGENET_21K = "imagenet-1k", "imagenet-21k"


@dataclass(frozen=True)
class Preset:
    """One published file of weights.

    Attributes:
        name: What `weights=` takes.
        builder: The builder of its model, such as `"PoolFormerS12"`.
        repository: Its repository on the Hugging Face hub.
        file: Its name there. A `.bin` or `.pth` file needs PyTorch to be read.
        layout: Whose names its weights have.
        classes: Number of classes: 1,000, or the 21,841 of ImageNet-21k.
        top1: ImageNet-1k top-1 accuracy in per cent that its authors report; `None` for
            the classes of ImageNet-21k.
        image_size: Height and width of the images it was last trained on, in pixels.
        trained_on: What it was trained on, one after the other.
        revision: Commit of the repository, where it is known, else `None` for the
            newest.
        sha256: Of the file, where it is known. Otherwise a download is checked
            against the hash that the hub tells.
    """

    name: str
    builder: str
    repository: str
    file: str
    layout: str
    classes: int
    top1: float | None
    image_size: int = 224
    trained_on: tuple[str, ...] = (_IMAGENET_1K,)
    revision: str | None = None
    sha256: str | None = None


# Of the files of the authors' own repositories in Hugging Face's layout, by the name of the
# preset: the file, the revision and the sha256 where known.
_SAIL = {
    "poolformer_s12": (
        "model.safetensors",
        "01bcf57546aceaccba581172497434bb0b377749",
        "6f4ed7c93b7e91b6439f334f874c90fb8817acb05d7af11a38bc1ade78670d8b",
    ),
    "poolformer_s24": (
        "pytorch_model.bin",
        None,
        "162302290f7fd5c53421e6cd49a16a59f4689a91b36bbe5ba1b6728ace53c874",
    ),
    "poolformer_s36": ("pytorch_model.bin", None, None),
    "poolformer_m36": (
        "model.safetensors",
        None,
        "b0ec67ab5821aaabb76018f4febc1b704c5676a39e928cfc574e155c69e17a44",
    ),
    "poolformer_m48": (
        "model.safetensors",
        None,
        "58aa30ec23078aa3dd959edd87450f89be03d0c3edec56bb03c882f6e30b5600",
    ),
}
_TIMM_SHA256 = {
    "poolformer_s24.sail_in1k": "5e49f65709bc9e23702581aff759580a6b911d800875275ab4e955e1287e8e5f",
    "poolformerv2_s12.sail_in1k": (
        "0f1e5c59789a111a9b039d3644be574a5189e0b7a56f2e308b85fd260e988a4f"
    ),
    "poolformerv2_s24.sail_in1k": (
        "6dc2ccb98dde349bb2f649276e34d4f0ddd7bc4c12732527bcd0bbbbb96cf450"
    ),
    "poolformerv2_s36.sail_in1k": (
        "a83589e15d69415eb7cae5ea78570bc97a2f19a40526c32add1ca7c76b705b51"
    ),
}
# What the table of variants does not have, from the README of the second generation: trained
# on ImageNet-1k at 384; on ImageNet-21k and then ImageNet-1k, at 224 and at 384.
_TOP1 = {
    "ConvFormerS18": (84.4, 83.7, 85.0),
    "ConvFormerS36": (85.4, 85.4, 86.4),
    "ConvFormerM36": (85.6, 86.1, 86.9),
    "ConvFormerB36": (85.7, 87.0, 87.6),
    "CAFormerS18": (85.0, 84.1, 85.4),
    "CAFormerS36": (85.7, 85.8, 86.9),
    "CAFormerM36": (86.2, 86.6, 87.5),
    "CAFormerB36": (86.4, 87.4, 88.1),
}


def _models(*families: str) -> Iterator[tuple[str, str, float]]:
    """Builder, name and accuracy at 224 pixels of the models of some families."""
    for family in map(FAMILIES.__getitem__, families):
        for size, variant in family.variants.items():
            yield family.builder_name(size), family.model_name(size), variant.top1


def _authors() -> Iterator[Preset]:
    for builder, model, top1 in _models("PoolFormer"):
        file, revision, sha256 = _SAIL[model]
        yield Preset(
            name=model,
            builder=builder,
            repository=f"sail/{model}",
            file=file,
            layout="huggingface",
            classes=1000,
            top1=top1,
            revision=revision,
            sha256=sha256,
        )
    # Only here: timm has no names for these models.
    for builder, model, top1 in _models("IdentityFormer", "RandFormer"):
        folder = model.partition("_")[0]
        yield Preset(model, builder, "sail/dl", f"{folder}/{model}.pth", "metaformer", 1000, top1)


def _timm() -> Iterator[Preset]:
    one, two = (_IMAGENET_1K,), (_IMAGENET_21K, _IMAGENET_1K)
    trainings: list[tuple[str, int, float | None, int, tuple[str, ...]]]
    for builder, model, top1 in _models("PoolFormer", "PoolFormerV2", "ConvFormer", "CAFormer"):
        trainings = [("sail_in1k", 1000, top1, 224, one)]
        if builder in _TOP1:
            large, tuned, tuned_large = _TOP1[builder]
            trainings += [
                ("sail_in1k_384", 1000, large, 384, one),
                ("sail_in22k_ft_in1k", 1000, tuned, 224, two),
                ("sail_in22k_ft_in1k_384", 1000, tuned_large, 384, two),
                ("sail_in22k", 21841, None, 224, (_IMAGENET_21K,)),
            ]
        for training, classes, accuracy, size, data in trainings:
            name = f"{model}.{training}"
            yield Preset(
                name=name,
                builder=builder,
                repository=f"timm/{name}",
                file="model.safetensors",
                layout="timm",
                classes=classes,
                top1=accuracy,
                image_size=size,
                trained_on=data,
                sha256=_TIMM_SHA256.get(name),
            )


PRESETS = {preset.name: preset for preset in (*_authors(), *_timm())}


def _imagenet(builder: str) -> Preset | None:
    """Returns the weights that gave the accuracy in the table of variants."""
    found = [
        preset
        for preset in PRESETS.values()
        if (preset.builder, preset.image_size, preset.trained_on) == (builder, 224, (_IMAGENET_1K,))
    ]
    # Of two publications of the same weights, one that needs no PyTorch.
    found.sort(key=lambda preset: not preset.file.endswith(".safetensors"))
    return found[0] if found else None


IMAGENET = {builder: preset for builder in MODELS if (preset := _imagenet(builder)) is not None}
"""What `weights="imagenet"` stands for, by builder."""


def list_presets() -> dict[str, Preset]:
    """Returns the published weights by name.

    Example:
    >>> keras_poolformer.list_presets()["poolformer_s12"].repository
    'sail/poolformer_s12'
    >>> [name for name, preset in list_presets().items() if preset.builder == "CAFormerS18"]
    ['caformer_s18.sail_in1k', 'caformer_s18.sail_in1k_384', ...]
    """
    return dict(PRESETS)


def find_preset(name: str, builder: str) -> Preset | None:
    """Returns the preset that a builder's `weights` names, or `None` if it names none.

    Args:
        name: Name of a preset, or `"imagenet"` for the builder's.
        builder: The builder, such as `"PoolFormerS12"`.

    Raises:
        ValueError: if the preset is one of another builder, or there are none of this one.
    """
    if name != "imagenet" and name not in PRESETS:
        return None
    preset = IMAGENET.get(builder) if name == "imagenet" else PRESETS[name]
    if preset is not None and preset.builder == builder:
        return preset
    own = [other for other, found in PRESETS.items() if found.builder == builder]
    if not own:
        raise ValueError(
            f"`weights` must be None or the path of a file for {builder}, of which no weights are "
            f"published. Received: {name!r}"
        )
    other = "" if preset is None else f", which is one of {preset.builder}"
    raise ValueError(f"`weights` must be a preset of {builder}: {own}. Received: {name!r}{other}")
