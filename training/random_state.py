"""Random state outside of a model's variables: torch draws dropout from a global generator."""

import keras
import numpy as np


def random_state() -> dict[str, np.ndarray]:
    """Returns the state of torch's generators, or nothing on other backends.

    There, the seeds of all random layers are variables of the model.
    """
    if keras.config.backend() != "torch":
        return {}
    import torch

    states = [torch.get_rng_state()]
    if torch.cuda.is_available():
        states.append(torch.cuda.get_rng_state())
    return {name: state.numpy() for name, state in zip(("cpu", "cuda"), states, strict=False)}


def seed_epoch(seed: int, epoch: int) -> None:
    """Starts torch's generators anew for an epoch; on other backends there are none."""
    if keras.config.backend() != "torch":
        return
    import torch

    torch.manual_seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0]))


def set_random_state(state: dict[str, np.ndarray]) -> None:
    """Goes on where `random_state()` was taken; of a device that is absent it is ignored."""
    if not state:
        return
    import torch

    torch.set_rng_state(torch.from_numpy(state["cpu"].copy()))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(torch.from_numpy(state["cuda"].copy()))
