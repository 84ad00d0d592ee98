"""The PyTorch models that this library must agree with, and their weights in Keras."""

import importlib

import numpy as np
import torch


def import_torchvision():
    """Imports torchvision beside a torch build that it was not compiled for.

    transformers and timm import torchvision, which registers two operators of
    its compiled code and fails where they do not exist. No PoolFormer calls them.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        importlib.import_module("torchvision")
        return library  # its definitions would end with the object
    return None


TORCHVISION = import_torchvision()

import transformers


def randomize(model, seed=0):
    """Gives LayerScale and norms random values of order one, and biases small ones.

    At its start LayerScale is 1e-5 and hides every error in the residual branches;
    large biases of the classifier would hide what comes before it.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                continue
            noise = torch.randn(weight.shape, generator=generator)
            if "layer_scale" in name or ("norm" in name and name.endswith("weight")):
                weight.copy_(1 + 0.3 * noise)
            elif "norm" in name:
                weight.copy_(noise)
            else:
                weight.copy_(0.02 * noise)
    return model.eval()


def transformers_poolformer(depths, dims, layer_scale_init_value=1e-5, classes=1000):
    """The PoolFormer of transformers, the reference for logits."""
    config = transformers.PoolFormerConfig(
        depths=list(depths),
        hidden_sizes=list(dims),
        mlp_ratio=4.0,
        layer_scale_init_value=layer_scale_init_value,
        num_labels=classes,
        drop_path_rate=0.0,
    )
    torch.manual_seed(0)
    return transformers.PoolFormerForImageClassification(config)


def copy_from_transformers(reference, model, without_head=False):
    """Copies the weights of a transformers PoolFormer into a Keras MetaFormer.

    Written from the two sets of names, without the library's own readers. Every
    weight on both sides is used exactly once.
    """
    state = {name: value.detach().numpy() for name, value in reference.state_dict().items()}
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
    if "mlp" in path and value.ndim == 4:  # a 1x1 convolution
        value = value[:, :, 0, 0]
    return value.T if value.ndim == 2 else np.transpose(value, (2, 3, 1, 0))
