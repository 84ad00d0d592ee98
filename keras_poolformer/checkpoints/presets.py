"""The published weights: where they are, and what their authors report of them."""

from dataclasses import dataclass

from keras_poolformer.variants import VARIANTS


@dataclass(frozen=True)
class Preset:
    """One published file of weights, trained on ImageNet-1k.

    Attributes:
        name: What `weights=` takes.
        variant: The PoolFormer it is of, such as `"S12"`.
        repository: Its repository on the Hugging Face hub.
        file: Its name there. A `.bin` file needs PyTorch to be read.
        layout: Whose names its weights have.
        classes: Number of classes.
        top1: ImageNet-1k top-1 accuracy in per cent that its authors report.
        revision: Commit of the repository, where it is known, else `None` for the
            newest.
        sha256: Of the file, where it is known. Otherwise a download is checked
            against the hash that the hub tells.
    """

    name: str
    variant: str
    repository: str
    file: str
    layout: str
    classes: int
    top1: float
    revision: str | None = None
    sha256: str | None = None


# Variant and file of the authors' own repositories; revision and sha256 where known.
_SAIL = (
    (
        "S12",
        "model.safetensors",
        "01bcf57546aceaccba581172497434bb0b377749",
        "6f4ed7c93b7e91b6439f334f874c90fb8817acb05d7af11a38bc1ade78670d8b",
    ),
    (
        "S24",
        "pytorch_model.bin",
        None,
        "162302290f7fd5c53421e6cd49a16a59f4689a91b36bbe5ba1b6728ace53c874",
    ),
    ("S36", "pytorch_model.bin", None, None),
    (
        "M36",
        "model.safetensors",
        None,
        "b0ec67ab5821aaabb76018f4febc1b704c5676a39e928cfc574e155c69e17a44",
    ),
    (
        "M48",
        "model.safetensors",
        None,
        "58aa30ec23078aa3dd959edd87450f89be03d0c3edec56bb03c882f6e30b5600",
    ),
)
_TIMM_SHA256 = {"S24": "5e49f65709bc9e23702581aff759580a6b911d800875275ab4e955e1287e8e5f"}

PRESETS = {
    preset.name: preset
    for preset in (
        *(
            Preset(
                name=f"poolformer_{variant.lower()}",
                variant=variant,
                repository=f"sail/poolformer_{variant.lower()}",
                file=file,
                layout="huggingface",
                classes=1000,
                top1=VARIANTS[variant].top1,
                revision=revision,
                sha256=sha256,
            )
            for variant, file, revision, sha256 in _SAIL
        ),
        *(
            Preset(
                name=f"poolformer_{variant.lower()}.sail_in1k",
                variant=variant,
                repository=f"timm/poolformer_{variant.lower()}.sail_in1k",
                file="model.safetensors",
                layout="timm",
                classes=1000,
                top1=VARIANTS[variant].top1,
                sha256=_TIMM_SHA256.get(variant),
            )
            for variant in VARIANTS
        ),
    )
}

_IMAGENET = {
    # Of the two publications of the same weights, one that needs no PyTorch.
    variant: next(
        preset
        for preset in PRESETS.values()
        if preset.variant == variant and preset.file.endswith(".safetensors")
    )
    for variant in VARIANTS
}


def list_presets() -> dict[str, Preset]:
    """Returns the published weights by name.

    Example:
    >>> keras_poolformer.list_presets()["poolformer_s12"].repository
    'sail/poolformer_s12'
    """
    return dict(PRESETS)


def find_preset(name: str, variant: str) -> Preset | None:
    """Returns the preset that a builder's `weights` names, or `None` if it names none.

    Args:
        name: Name of a preset, or `"imagenet"` for the variant's.
        variant: The variant that the builder makes.

    Raises:
        ValueError: if the preset is one of another variant.
    """
    if name == "imagenet":
        return _IMAGENET[variant]
    preset = PRESETS.get(name)
    if preset is not None and preset.variant != variant:
        own = [other for other, found in PRESETS.items() if found.variant == variant]
        raise ValueError(
            f"`weights` must be a preset of PoolFormer{variant}: {own}. Received: {name!r}, which "
            f"is one of PoolFormer{preset.variant}"
        )
    return preset
