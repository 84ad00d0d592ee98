"""The first paper's models in PyTorch, written from its formulas with the official names.

Any token mixer in any stage, by its letter, so that each can be compared and its
gradients too. Depthwise and separable convolution and random mixing have no official
model of this generation; their names here are those of the second one.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class GroupNorm(nn.GroupNorm):
    def __init__(self, channels):
        super().__init__(1, channels, eps=1e-5)


class ChannelLayerNorm(nn.Module):
    """Each position by itself: mean and variance over its channels."""

    def __init__(self, channels):
        super().__init__()
        self.weight, self.bias = (nn.Parameter(torch.empty(channels)) for _ in range(2))

    def forward(self, x):
        x = x - x.mean(1, keepdim=True)
        x = x / (x.square().mean(1, keepdim=True) + 1e-5).sqrt()
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class Pool(nn.Module):
    def __init__(self, channels, tokens):
        super().__init__()

    def forward(self, x):
        ones = torch.ones_like(x[:1, :1])
        window = torch.ones(1, 1, 3, 3, dtype=x.dtype)
        total = F.conv2d(x.flatten(0, 1)[:, None], window, padding=1).reshape(x.shape)
        return total / F.conv2d(ones, window, padding=1) - x


class Same(nn.Module):
    def __init__(self, channels, tokens):
        super().__init__()

    def forward(self, x):
        return x


class Attention(nn.Module):
    def __init__(self, channels, tokens):
        super().__init__()
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = (
            part.unflatten(2, (-1, 32)).transpose(1, 2) for part in self.qkv(tokens).chunk(3, -1)
        )
        weights = torch.softmax(q @ k.mT / 32**0.5, -1)
        mixed = (weights @ v).transpose(1, 2).flatten(2)
        return self.proj(mixed).transpose(1, 2).reshape(x.shape)


class FullyConnected(nn.Module):
    def __init__(self, channels, tokens):
        super().__init__()
        self.fc = nn.Linear(tokens, tokens, bias=False)

    def forward(self, x):
        return self.fc(x.flatten(2)).reshape(x.shape)


class Random(nn.Module):
    def __init__(self, channels, tokens):
        super().__init__()
        self.random_matrix = nn.Parameter(torch.empty(tokens, tokens), requires_grad=False)

    def forward(self, x):
        return torch.einsum("mn,bcn->bcm", self.random_matrix, x.flatten(2)).reshape(x.shape)


class Depthwise(nn.Module):
    def __init__(self, channels, tokens):
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x):
        return self.dwconv(x)


class Separable(nn.Module):
    def __init__(self, channels, tokens):
        super().__init__()
        self.pwconv1 = nn.Linear(channels, 2 * channels, bias=False)
        self.act1 = nn.ParameterDict({"scale": torch.empty(1), "bias": torch.empty(1)})
        self.dwconv = nn.Conv2d(
            2 * channels, 2 * channels, 7, padding=3, groups=2 * channels, bias=False
        )
        self.pwconv2 = nn.Linear(2 * channels, channels, bias=False)

    def forward(self, x):
        x = self.pwconv1(x.movedim(1, 3)).movedim(3, 1)
        x = self.act1["scale"] * x.relu().square() + self.act1["bias"]
        return self.pwconv2(self.dwconv(x).movedim(1, 3)).movedim(3, 1)


MIXERS = {
    "P": Pool, "I": Same, "A": Attention, "F": FullyConnected, "R": Random, "D": Depthwise,
    "S": Separable,
}  # fmt: skip


class MLP(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, 4 * channels, 1)
        self.fc2 = nn.Conv2d(4 * channels, channels, 1)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, channels, tokens, letter, norm):
        super().__init__()
        self.norm1, self.norm2 = norm(channels), norm(channels)
        self.token_mixer = MIXERS[letter](channels, tokens)
        self.mlp = MLP(channels)
        self.layer_scale_1, self.layer_scale_2 = (
            nn.Parameter(torch.empty(channels)) for _ in range(2)
        )

    def forward(self, x):
        x = x + self.layer_scale_1[:, None, None] * self.token_mixer(self.norm1(x))
        return x + self.layer_scale_2[:, None, None] * self.mlp(self.norm2(x))


class Embedding(nn.Module):
    """A strided convolution: `proj`."""

    def __init__(self, inputs, outputs, *window):
        super().__init__()
        self.proj = nn.Conv2d(inputs, outputs, *window)

    def forward(self, x):
        return self.proj(x)


class Positions(nn.Module):
    """A position embedding, one vector a position."""

    def __init__(self, channels, size):
        super().__init__()
        self.pos_embed = nn.Parameter(torch.empty(1, channels, *size))

    def forward(self, x):
        return x + self.pos_embed


class Hybrid(nn.Module):
    """A model of the first paper.

    Args:
        letters: The token mixer of each stage.
        depths, dims: Blocks and channels of each stage.
        size: Height and width of the images.
        classes: Number of classes.
    """

    def __init__(self, letters, depths, dims, size=(224, 224), classes=1000):
        super().__init__()
        norm = ChannelLayerNorm if "A" in letters else GroupNorm
        self.letters, self.depths, self.dims = letters, depths, dims
        self.patch_embed = Embedding(3, dims[0], 7, 4, 2)
        self.network, self.ends = nn.ModuleList(), []
        size = [(side + 4 - 7) // 4 + 1 for side in size]
        for stage, letter in enumerate(letters):
            if stage > 0:
                self.network.append(Embedding(dims[stage - 1], dims[stage], 3, 2, 1))
                size = [(side + 2 - 3) // 2 + 1 for side in size]
            if letters.find("A") == stage:
                self.network.append(Positions(dims[stage], size))
            self.network.append(
                nn.Sequential(
                    *(
                        Block(dims[stage], size[0] * size[1], letter, norm)
                        for _ in range(depths[stage])
                    )
                )
            )
            self.ends.append(len(self.network) - 1)
        self.norm = norm(dims[-1])
        self.head = nn.Linear(dims[-1], classes)

    def forward(self, x):
        """Returns logits and the raw map after each stage."""
        x, stages = self.patch_embed(x), []
        for index, part in enumerate(self.network):
            x = part(x)
            if index in self.ends:
                stages.append(x)
        return self.head(self.norm(x).mean((2, 3))), stages


def hybrid(letters, depths=(2, 2, 6, 2), dims=(64, 128, 320, 512), **kwargs):
    """A model with random weights of order one: at its start LayerScale hides every error."""
    with torch.device("meta"):
        model = Hybrid(letters, depths, dims, **kwargs)
    model = model.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(generator=generator)
            if "layer_scale" in name or name.endswith(("norm1.weight", "norm2.weight")):
                weight.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith("random_matrix"):
                weight.copy_(weight.softmax(-1))
            elif weight.ndim > 1 and "pos_embed" not in name:
                weight.mul_(weight[0].numel() ** -0.5)
            else:
                weight.mul_(0.5)
    return model.eval()


LEAVES = {"kernel": "weight", "gamma": "weight", "beta": "bias"}


def official_name(path, embedding_stage=None):
    """The key in this file's models of the weight at a Keras path.

    Args:
        path: Path of a weight.
        embedding_stage: Stage, from 1, that has a position embedding, or `None`.
    """
    layer, *parts, leaf = path.split("/")
    leaf = LEAVES.get(leaf, leaf)
    if layer in ("norm", "head"):
        return f"{layer}.{leaf}"
    if layer == "stem":
        return f"patch_embed.proj.{leaf}"
    stage = int(layer[5]) - 1
    # Every stage but the first has a convolution before it, some one more module.
    index = 2 * stage + (embedding_stage is not None and stage + 1 >= embedding_stage)
    if layer.endswith("position_embedding"):
        return f"network.{index - 1}.pos_embed"
    if layer.endswith("downsample"):
        before = embedding_stage is not None and stage >= embedding_stage
        return f"network.{2 * stage - 1 + before}.proj.{leaf}"
    inside = ".".join([*parts, leaf])
    for ours, theirs in (
        ("layer_scale1.weight", "layer_scale_1"),
        ("layer_scale2.weight", "layer_scale_2"),
        ("token_mixer.mixing", "token_mixer.random_matrix"),
        ("token_mixer.activation", "token_mixer.act1"),
    ):
        inside = inside.replace(ours, theirs)
    return f"network.{index}.{int(layer.rpartition('block')[2]) - 1}.{inside}"


def to_keras(path, value):
    """Turns a weight of these models (or its gradient) into the layout of the Keras weight."""
    if path.endswith("embedding"):
        return value[0].transpose(1, 2, 0)
    if not path.endswith("kernel"):
        return value
    if "/mlp/" in path:
        value = value[:, :, 0, 0]
    if value.ndim == 2:
        return value.T
    is_depthwise = "token_mixer" in path
    return np.transpose(value, (2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0))


def names(reference, model):
    """The key of each weight of a Keras model; every one of the reference is used once."""
    stage = reference.letters.find("A") + 1 or None
    found = {}
    for weight in model.weights:
        name = official_name(weight.path, stage)
        # The matrix over the positions and the kernel of a depthwise convolution have a
        # module of their own in PyTorch.
        for inner in ("fc", "dwconv"):
            deeper = name.replace("token_mixer.", f"token_mixer.{inner}.")
            if name not in reference.state_dict() and deeper in reference.state_dict():
                name = deeper
        found[weight.path] = name
    assert sorted(found.values()) == sorted(reference.state_dict())
    return found


def copy_from_hybrid(reference, model):
    """Copies the weights of a reference into a Keras MetaFormer."""
    state = {name: value.numpy().copy() for name, value in reference.state_dict().items()}
    for weight, name in zip(model.weights, names(reference, model).values(), strict=True):
        weight.assign(to_keras(weight.path, state[name]))
