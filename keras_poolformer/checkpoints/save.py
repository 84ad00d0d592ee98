"""Writing a Keras model as a PyTorch checkpoint."""

from pathlib import Path

import keras

from keras_poolformer.checkpoints.errors import CheckpointError
from keras_poolformer.checkpoints.layouts import LAYOUTS, convolutions, to_pytorch
from keras_poolformer.checkpoints.load import keys_of_weights
from keras_poolformer.checkpoints.pytorch_file import write_pytorch
from keras_poolformer.checkpoints.reading import PYTORCH_SUFFIXES, SUFFIXES, is_checkpoint
from keras_poolformer.checkpoints.safetensors_file import write_safetensors
from keras_poolformer.files import replacing
from keras_poolformer.layers.metaformer_block import MetaFormerBlock


def save_checkpoint(model: keras.Model, path: str | Path, layout: str = "official") -> None:
    """Writes the weights of a PoolFormer so that a PyTorch project loads them.

    The file fits the project's own model of the same architecture with
    `load_state_dict(..., strict=True)`. It takes its place when it is complete; an
    older file stays as it was if that fails.

    Args:
        model: A `keras_poolformer.MetaFormer` with the parts of a PoolFormer, of one of
            the first paper's hybrids or of the second generation.
        path: The file: `.safetensors`, or `.pth`, `.pth.tar`, `.pt` or `.bin`, for which
            PyTorch is needed.
        layout: Whose names the weights get: `"official"`, `"timm"`, `"huggingface"` or
            `"openmmlab"` (in a `.pth` file under the entry `state_dict`, as OpenMMLab
            has it); for a hybrid `"official"`; for the second generation `"timm"` or
            `"metaformer"`, its official code. timm's classifier normalises after the
            spatial mean: there the weights of a PoolFormer give slightly other logits,
            and the same stage maps. timm's MLP head has an epsilon of 1e-6, the official
            one of 1e-5.

    Raises:
        ValueError: if an argument is out of its range.
        CheckpointError: if the model has a weight that no PoolFormer has, such as
            that of another token mixer, or lacks its shortcuts or MLPs.
        OSError: if the file cannot be written.
        ImportError: if the package that writes it is not installed.

    Example:
    >>> keras_poolformer.save_checkpoint(model, "pets.safetensors", layout="huggingface")
    """
    path = Path(path)
    if layout not in LAYOUTS:
        raise ValueError(f"`layout` must be one of {list(LAYOUTS)}. Received: {layout!r}")
    if not is_checkpoint(path):
        raise ValueError(
            f"`path` must end in one of {', '.join(SUFFIXES)}. Received: {str(path)!r}"
        )
    if not path.parent.is_dir():
        raise ValueError(f"`path` must be in a folder that exists. Received: {str(path)!r}")
    for layer in model.layers:
        if isinstance(layer, MetaFormerBlock) and not (layer.residual and layer.mlp):
            raise CheckpointError(
                "`model` must have shortcuts and an MLP in every block, since no project has a "
                f"model without. Received: {model.name!r} with residual={layer.residual} and "
                f"mlp_ratio={layer.mlp_ratio} in {layer.name!r}"
            )
    weights = {weight.path: weight for weight in model.weights}
    keys = keys_of_weights(weights, LAYOUTS[layout])
    convolved = convolutions(weights, LAYOUTS[layout])
    tensors = {
        key: to_pytorch(name, keras.ops.convert_to_numpy(weights[name]), name in convolved)
        for name, key in keys.items()
    }
    with replacing(path) as temporary:
        if path.name.lower().endswith(PYTORCH_SUFFIXES):
            write_pytorch(tensors, temporary, "state_dict" if layout == "openmmlab" else "")
        else:
            write_safetensors(tensors, temporary)
