"""The names that the PyTorch projects give the weights, written out from their models.

Independent of the library's own table, so that a slip there is found here.
"""

import torch

LEAVES = ("weight", "bias")


def named(depths, project):
    """Returns the keys of a project's PoolFormer, in an order that all projects share."""
    last = len(depths) - 1
    stem = {
        "official": "patch_embed.proj",
        "timm": "stem.conv",
        "huggingface": "poolformer.encoder.patch_embeddings.0.projection",
        "openmmlab": "backbone.patch_embed.proj",
    }[project]
    head = {
        "official": ("norm", "head"),
        "timm": ("head.norm", "head.fc"),
        "huggingface": ("norm", "classifier"),
        "openmmlab": (f"backbone.norm{2 * last}", "head.fc"),
    }[project]
    keys = [f"{stem}.{leaf}" for leaf in LEAVES]
    for s, depth in enumerate(depths):
        if s > 0:
            down = {
                "official": f"network.{2 * s - 1}.proj",
                "timm": f"stages.{s}.downsample.conv",
                "huggingface": f"poolformer.encoder.patch_embeddings.{s}.projection",
                "openmmlab": f"backbone.network.{2 * s - 1}.proj",
            }[project]
            keys += [f"{down}.{leaf}" for leaf in LEAVES]
        for j in range(depth):
            block = {
                "official": f"network.{2 * s}.{j}",
                "timm": f"stages.{s}.blocks.{j}",
                "huggingface": f"poolformer.encoder.block.{s}.{j}",
                "openmmlab": f"backbone.network.{2 * s}.{j}",
            }[project]
            parts = {
                "timm": ("norm1", "norm2", "mlp.fc1", "mlp.fc2"),
                "huggingface": ("before_norm", "after_norm", "output.conv1", "output.conv2"),
            }.get(project, ("norm1", "norm2", "mlp.fc1", "mlp.fc2"))
            scales = ("layer_scale1.scale", "layer_scale2.scale")
            if project != "timm":
                scales = ("layer_scale_1", "layer_scale_2")
            keys += [f"{block}.{part}.{leaf}" for part in parts for leaf in LEAVES]
            keys += [f"{block}.{scale}" for scale in scales]
    keys += [f"{part}.{leaf}" for part in head for leaf in LEAVES]
    return keys


def state_dict(reference, project):
    """The weights of a transformers PoolFormer under another project's names."""
    depths = reference.config.depths
    state = reference.state_dict()
    theirs = named(depths, "huggingface")
    assert sorted(theirs) == sorted(state)
    return {
        key: state[other].clone() for key, other in zip(named(depths, project), theirs, strict=True)
    }


def dense(reference, prefix=""):
    """The backbone of a detector: a norm after every stage, no classifier."""
    state = {
        key: value
        for key, value in state_dict(reference, "official").items()
        if not key.startswith(("norm.", "head."))
    }
    last = len(reference.config.depths) - 1
    for stage, width in enumerate(reference.config.hidden_sizes):
        for leaf in LEAVES:
            final = reference.state_dict()[f"norm.{leaf}"] if stage == last else torch.ones(width)
            state[f"norm{2 * stage}.{leaf}"] = final
    return {f"{prefix}{key}": value for key, value in state.items()}
