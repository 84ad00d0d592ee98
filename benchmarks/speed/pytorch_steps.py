"""Steps of a PyTorch model, by the book: channels_last, and autocast for bfloat16."""

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.speed.job import Job


def make_step(model: torch.nn.Module, job: Job, compiled: bool = False) -> Callable[[], Any]:
    """Returns what does one step of a model that gives logits, and waits for its end.

    Args:
        model: The model, which takes (B, 3, H, W) images.
        job: What is timed.
        compiled: Whether `torch.compile` compiles it.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    model = model.to(device, memory_format=torch.channels_last)
    model.train(job.task == "training")
    call = torch.compile(model) if compiled else model
    images = torch.randn(job.batch, 3, job.size, job.size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    half = torch.autocast(device, torch.bfloat16, enabled=job.precision == "bfloat16")

    if job.task == "inference":

        def infer() -> Any:
            with torch.inference_mode(), half:
                return call(images).float().cpu()

        return infer

    labels = torch.randint(0, 1000, (job.batch,), device=device)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05)
    loss_function = torch.nn.CrossEntropyLoss()

    def train() -> Any:
        optimizer.zero_grad(set_to_none=True)
        with half:
            loss = loss_function(call(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return train
