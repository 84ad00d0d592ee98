"""The PyTorch models that this library must agree with, and their weights in Keras."""

import keras
import numpy as np
import pytest
import torch
from keras import ops

from benchmarks.peers import import_torchvision
from tests.backends import value_and_gradients

TORCHVISION = import_torchvision()

import timm
import transformers


def transformers_poolformer(depths, dims, classes=1000):
    """The PoolFormer of transformers, the reference for logits, with random weights.

    LayerScale and norms are of order one, and the MLPs are large enough to bend
    their GELU: at its start LayerScale is 1e-5 and hides every error in the branches.
    Large biases of the classifier would hide what comes before it.
    """
    config = transformers.PoolFormerConfig(
        depths=list(depths), hidden_sizes=list(dims), mlp_ratio=4.0, num_labels=classes
    )
    config.drop_path_rate = 0.0
    with torch.device("meta"):  # the model's own initialisation takes a while
        model = transformers.PoolFormerForImageClassification(config)
    model = model.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(generator=generator)
            if "layer_scale" in name or ("norm" in name and name.endswith("weight")):
                weight.uniform_(0.5, 1.5, generator=generator)
            elif "conv" in name:
                weight.mul_(0.1)
            elif "norm" not in name:
                weight.mul_(0.02)
    return model.eval()


def timm_stages(variant, reference):
    """timm's model that returns stage maps, with the weights of a transformers model."""
    stages = timm.create_model(f"poolformer_{variant.lower()}", features_only=True).eval()
    state = {}
    for name, value in reference.state_dict().items():
        parts = name.split(".")
        if "patch_embeddings" in name:
            stage, leaf = parts[3], parts[-1]
            key = f"stages.{stage}.downsample.conv.{leaf}" if stage != "0" else f"stem.conv.{leaf}"
        elif "block" in parts:
            rest = ".".join(parts[5:])
            for theirs, ours in TIMM_NAMES.items():
                rest = rest.replace(theirs, ours)
            key = f"stages.{parts[3]}.blocks.{parts[4]}.{rest}"
        else:
            continue  # the head
        # Only the outermost modules are renamed: `features_only` flattens them.
        state[key.replace("stages.", "stages_", 1)] = value
    stages.load_state_dict(state, strict=True)
    return stages


TIMM_NAMES = {
    "before_norm": "norm1",
    "after_norm": "norm2",
    "output.conv1": "mlp.fc1",
    "output.conv2": "mlp.fc2",
    "layer_scale_1": "layer_scale1.scale",
    "layer_scale_2": "layer_scale2.scale",
}


def copy_from_transformers(reference, model, without_head=False):
    """Copies the weights of a transformers PoolFormer into a Keras MetaFormer.

    Written from the two sets of names, without the library's own readers. Every
    weight on both sides is used exactly once.
    """
    # Copies: JAX may keep an array's memory, which the reference trains in place.
    state = {name: value.numpy().copy() for name, value in reference.state_dict().items()}
    for weight in model.weights:
        weight.assign(to_keras(weight.path, state.pop(transformers_name(weight.path))))
    left = [name for name in state if not (without_head and name.startswith("classifier"))]
    assert not left, f"left over: {left}"


NORM = {"gamma": "weight", "beta": "bias"}
LINEAR = {"kernel": "weight", "bias": "bias"}


def transformers_name(path):
    """The key that transformers gives the weight at a Keras path."""
    layer, *parts = path.split("/")
    if layer == "norm":
        return f"norm.{NORM[parts[0]]}"
    if layer == "head":
        return f"classifier.{LINEAR[parts[0]]}"
    if "block" not in layer:
        stage = 0 if layer == "stem" else int(layer[len("stage")]) - 1
        return f"poolformer.encoder.patch_embeddings.{stage}.projection.{LINEAR[parts[0]]}"
    stage, block = (int(number) - 1 for number in layer[len("stage") :].split("_block"))
    prefix = f"poolformer.encoder.block.{stage}.{block}"
    match parts:
        case ["norm1", leaf]:
            return f"{prefix}.before_norm.{NORM[leaf]}"
        case ["norm2", leaf]:
            return f"{prefix}.after_norm.{NORM[leaf]}"
        case ["mlp", linear, leaf]:
            return f"{prefix}.output.{linear.replace('fc', 'conv')}.{LINEAR[leaf]}"
        case [layer_scale, "gamma"]:
            return f"{prefix}.{layer_scale.replace('scale', 'scale_')}"
    raise AssertionError(f"a weight without a counterpart: {path}")


def to_keras(path, value):
    """Turns a PyTorch weight (or its gradient) into the layout of the Keras weight."""
    if not path.endswith("kernel"):
        return value
    if "dwconv" in path:
        return np.transpose(value, (2, 3, 0, 1))
    if ("mlp" in path or "pwconv" in path) and value.ndim == 4:  # a 1x1 convolution
        value = value[:, :, 0, 0]
    return value.T if value.ndim == 2 else np.transpose(value, (2, 3, 1, 0))


def timm_metaformer(name=None, **kwargs):
    """A model of the second generation by timm, with random weights of order one.

    Its MLP head is given the epsilon of the official code, which the published weights
    were trained with. timm's own is 1e-6.

    Args:
        name: Name of a model of timm's; `None` for its generic class.
        **kwargs: For that model or class.
    """
    with torch.device("meta"):  # the model's own initialisation takes a while
        if name is None:
            model = timm.models.metaformer.MetaFormer(**kwargs)
        else:
            model = timm.create_model(name, **kwargs)
    model = model.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            weight.normal_(generator=generator)
            if weight.ndim > 1:
                weight.mul_(weight[0].numel() ** -0.5)
            elif key.endswith("scale") or ("norm" in key and key.endswith("weight")):
                weight.uniform_(0.5, 1.5, generator=generator)
            else:
                weight.mul_(0.5)
    if model.use_mlp_head:
        model.head.fc.norm.eps = 1e-5
    return model.eval()


def copy_from_timm(reference, model):
    """Copies the weights of a timm MetaFormer; every weight on both sides is used once."""
    state = {name: value.numpy().copy() for name, value in reference.state_dict().items()}
    for weight in model.weights:
        weight.assign(to_keras(weight.path, state.pop(timm_name(weight.path))))
    assert not state, f"left over: {list(state)}"


def timm_name(path):
    """The key that timm gives the weight of the second generation at a Keras path."""
    layer, *parts, leaf = path.split("/")
    leaf = {**NORM, **LINEAR}.get(leaf, leaf)
    if layer == "head":
        return ".".join(["head.fc", *parts, leaf])
    if "_block" in layer:
        stage, block = (int(number) - 1 for number in layer[len("stage") :].split("_block"))
        inside = ".".join([*parts, leaf])
        for ours, theirs in (
            ("token_mixer.activation", "token_mixer.act1"),
            ("mlp.activation", "mlp.act"),
            ("res_scale1.weight", "res_scale1.scale"),
            ("res_scale2.weight", "res_scale2.scale"),
        ):
            inside = inside.replace(ours, theirs)
        return f"stages.{stage}.blocks.{block}.{inside}"
    assert not parts, f"a weight without a counterpart: {path}"
    if "downsample" in layer:
        stage = int(layer[len("stage") :].split("_")[0]) - 1
        part = "norm" if layer.endswith("norm") else "conv"
        return f"stages.{stage}.downsample.{part}.{leaf}"
    prefix = {"stem": "stem.conv", "stem_norm": "stem.norm", "norm": "head.norm"}[layer]
    return f"{prefix}.{leaf}"


def gradients_beside(model, x, labels, logits):
    """The gradients of the mean cross-entropy, by path.

    Those of a reference, whose `logits` of the same images these are, are left in its
    parameters. The two losses agree.
    """

    def loss(output):
        return ops.mean(
            keras.losses.sparse_categorical_crossentropy(labels, output, from_logits=True)
        )

    value, gradients = value_and_gradients(model, loss, x)
    expected = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels))
    expected.backward()
    assert value == pytest.approx(expected.item(), rel=1e-5)
    return gradients
