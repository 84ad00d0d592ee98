"""The peer of `training.train`: timm's PoolFormer, trained in PyTorch with timm's own tools.

python -m benchmarks.timm_training --data FOLDER --epochs 20 --output runs/timm

The defaults are the settings of the recipe `images`. Everything comes from timm: the
model, transforms, mixing, optimizer, schedule and loss. So three things differ, by timm's
choice: the head pools before it normalises, the cosine runs from the first step on and is
hidden by the warm-up until its end, and images are read by processes instead of threads.
The patch embeddings start as in the authors' model; timm's own start, `--embeddings timm`,
learns more slowly here.
"""

import importlib.metadata
import json
import math
import os
import platform
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.peers import import_torchvision, posterising_to_black
from benchmarks.timm_settings import Settings, parse

TORCHVISION = import_torchvision()  # before timm


def build(settings: Settings, classes: int) -> Any:
    """Returns timm's PoolFormer, of the first generation, in a size of our own."""
    import torch
    from timm.layers import GroupNorm1
    from timm.models.metaformer import MetaFormer, Pooling

    model = MetaFormer(
        num_classes=classes,
        depths=settings.depths,
        dims=settings.dims,
        token_mixers=Pooling,
        mlp_act=torch.nn.GELU,
        mlp_bias=True,
        drop_path_rate=settings.drop_path,
        layer_scale_init_values=settings.layer_scale,
        res_scale_init_values=[None] * len(settings.depths),
        downsample_norm=None,
        norm_layers=GroupNorm1,
        use_mlp_head=False,
    )
    if settings.embeddings == "authors":
        for name, module in model.named_modules():
            if name == "stem.conv" or name.endswith("downsample.conv"):
                module.reset_parameters()  # to PyTorch's own start
    return model


def load(settings: Settings, data: Path) -> tuple[Any, Any]:
    """Returns the batches of the training and of the validation images.

    Raises:
        ValueError: if the training images do not fill a batch.
    """
    import torch
    from timm.data import ImageDataset, create_transform

    size = (3, settings.image_size, settings.image_size)
    training = ImageDataset(
        str(data / "train"),
        transform=create_transform(
            size,
            is_training=True,
            scale=settings.crop_scale,
            hflip=settings.flip,
            color_jitter=0.0,
            auto_augment=settings.rand_augment or None,
            interpolation="random",
            re_prob=settings.erasing,
            re_mode="pixel",
        ),
    )
    if len(training) < settings.batch_size:
        raise ValueError(
            f"`batch_size` must be at most {len(training)}, the training images. "
            f"Received: {settings.batch_size}"
        )
    validation = ImageDataset(
        str(data / "val"),
        class_map=training.reader.class_to_idx,
        transform=create_transform(size, interpolation="bicubic", crop_pct=settings.crop_pct),
    )
    shared: dict[str, Any] = {
        "batch_size": settings.batch_size,
        "num_workers": settings.workers,
        "persistent_workers": settings.workers > 0,
        "worker_init_fn": _seed_worker,
        "pin_memory": torch.cuda.is_available(),
    }
    order = torch.Generator().manual_seed(settings.seed)
    return (
        torch.utils.data.DataLoader(
            training, shuffle=True, drop_last=True, generator=order, **shared
        ),
        torch.utils.data.DataLoader(validation, **shared),
    )


def _seed_worker(worker: int) -> None:
    """Seeds the generators of Python and NumPy, of which timm draws and forks have copies."""
    import numpy as np
    import torch

    random.seed(torch.initial_seed())
    np.random.seed(torch.initial_seed() % 2**32)  # noqa: NPY002  (it is the one timm uses)


def train(
    settings: Settings, data: Path, output: Path | None = None
) -> tuple[list[dict[str, float]], dict[str, Any]]:
    """Trains and validates, prints a line an epoch, and writes what was measured.

    Args:
        settings: What to do.
        data: Folder with `train` and `val`, each with a folder of images for every class.
        output: Folder for `history.json` and `summary.json`, or `None`.

    Returns:
        The epochs, with `epoch`, `loss`, `val_accuracy`, `learning_rate` (of its last
        step) and `seconds` (of training alone); and the summary.

    Raises:
        ValueError: if the training images do not fill a batch.
        FloatingPointError: if the loss is not finite.
    """
    import torch
    from timm.data import Mixup
    from timm.loss import LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.scheduler import create_scheduler_v2
    from timm.utils import random_seed

    if settings.threads:
        torch.set_num_threads(settings.threads)
    random_seed(settings.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with posterising_to_black():
        batches, held_out = load(settings, data)
    classes = len(batches.dataset.reader.class_to_idx)
    model = build(settings, classes).to(device)
    optimizer = create_optimizer_v2(
        model, opt="adamw", lr=settings.lr, weight_decay=settings.weight_decay
    )
    scheduler, _ = create_scheduler_v2(
        optimizer,
        sched="cosine",
        num_epochs=settings.epochs,
        min_lr=settings.final_lr,
        warmup_lr=settings.warmup_lr,
        warmup_epochs=settings.warmup_epochs,
        step_on_epochs=False,
        updates_per_epoch=len(batches),
    )
    mix, loss_of = None, LabelSmoothingCrossEntropy(settings.smoothing)
    if settings.mixup or settings.cutmix:
        loss_of = SoftTargetCrossEntropy()
        mix = Mixup(
            mixup_alpha=settings.mixup,
            cutmix_alpha=settings.cutmix,
            label_smoothing=settings.smoothing,
            num_classes=classes,
        )

    history: list[dict[str, float]] = []
    step = 0
    for epoch in range(1, settings.epochs + 1):
        model.train()
        start, total = time.perf_counter(), 0.0
        for images, labels in batches:
            images, labels = images.to(device), labels.to(device)
            if mix is not None:
                images, labels = mix(images, labels)
            loss = loss_of(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            learning_rate = optimizer.param_groups[0]["lr"]
            optimizer.step()
            step += 1
            scheduler.step_update(step)
            total += loss.item()
            if not math.isfinite(total):
                raise FloatingPointError(f"The loss is {loss.item()} in step {step}")
        seconds = time.perf_counter() - start
        accuracy = _accuracy(model, held_out, device)
        history.append(
            {
                "epoch": epoch,
                "loss": total / len(batches),
                "val_accuracy": accuracy,
                "learning_rate": learning_rate,
                "seconds": round(seconds, 3),
            }
        )
        print(
            f"Epoch {epoch:3d}/{settings.epochs}  loss {history[-1]['loss']:.4f}  "
            f"validation {accuracy:7.2%}  learning rate {learning_rate:.2e}  {seconds:.1f} s",
            flush=True,
        )
    summary = _summary(settings, history, model, len(batches) * settings.batch_size, device)
    summary["training_images"] = len(batches.dataset)
    summary["validation_images"] = len(held_out.dataset)
    if output is not None:
        _save(output, history=history, summary=summary)
    return history, summary


def _save(folder: Path, **contents: Any) -> None:
    """Writes a .json file for each content."""
    from keras_poolformer.files import replacing  # now, since Keras comes with it

    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        with replacing(folder / f"{name}.json") as path:
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _accuracy(model: Any, batches: Any, device: Any) -> float:
    """The share of the images whose class has the highest logit."""
    import torch

    model.eval()
    right = 0
    with torch.inference_mode():
        for images, labels in batches:
            right += int((model(images.to(device)).argmax(1).cpu() == labels).sum())
    return right / len(batches.dataset)


def _summary(
    settings: Settings, history: list[dict[str, float]], model: Any, images: int, device: Any
) -> dict[str, Any]:
    """`images`: that an epoch trains with."""
    import torch

    # The first epoch also starts the reading processes.
    timed = history[1:] or history
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "settings": asdict(settings),
        "val_accuracy": history[-1]["val_accuracy"],
        "best_val_accuracy": max(epoch["val_accuracy"] for epoch in history),
        "images_per_second": round(
            images * len(timed) / sum(epoch["seconds"] for epoch in timed), 1
        ),
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "device": f"{device.type}: {name}",
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in ("torch", "timm", "pillow")},
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains as the command line says."""
    os.environ.setdefault("KERAS_BACKEND", "torch")  # TensorFlow has no part in this
    settings, data, output = parse(arguments)
    _, summary = train(settings, data, output)
    print(
        f"{summary['parameters']:,} parameters, {summary['images_per_second']} images/s on "
        f"{summary['device']}; validation {summary['val_accuracy']:.2%} at the end, "
        f"{summary['best_val_accuracy']:.2%} at best"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
