"""The epochs of a training: `model.fit` for one after the other, from any step on."""

import dataclasses
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras

from training import checkpoint
from training.averaging import AveragedWeights, averaged_weights, averages
from training.checkpoint import Checkpoint, Progress
from training.distribution import Workers
from training.guard import Guard, Stopped, StopSignal
from training.history import TensorBoard, best_epoch, epoch_values, save_history
from training.pipeline import TrainingPipeline
from training.progress_bar import ProgressBar
from training.random_state import seed_epoch
from training.recipe import Recipe
from training.results import save_model
from training.validation import Validation


@dataclass
class Epochs:
    """What the epochs of a training need.

    Attributes:
        model: The model that is trained.
        network: What `fit` is called on: the model, or one around it for several devices.
        recipe: How it is trained.
        pipeline: The images to learn from.
        validation: The images to be measured on after every epoch.
        schedule: The learning rate of every step.
        workers: The processes and devices that share the work.
        output: Folder of the run.
        seed: Seed of all chance.
        verbose: 1 for a progress bar, 0 for none.
        progress: What is done; it grows with every epoch.
    """

    model: keras.Model
    network: keras.Model
    recipe: Recipe
    pipeline: TrainingPipeline
    validation: Validation
    schedule: Callable[[int], float]
    workers: Workers
    output: Path
    seed: int
    verbose: int
    progress: Progress

    def run(self, earlier: Checkpoint | None) -> None:
        """Trains all the epochs that are not done yet.

        Args:
            earlier: The checkpoint that the first of them starts from, or `None`.

        Raises:
            FloatingPointError: if the loss becomes infinite or no number.
            Stopped: if the process got SIGTERM or SIGINT; the state is saved.
        """
        if self.progress.step:  # TensorFlow makes the metrics at their first use
            self.network.evaluate(self.validation.batches, steps=1, verbose=0)
        board = TensorBoard(self.output) if self.workers.is_chief else None
        with StopSignal().caught() as stop:
            while self.progress.epoch < self.recipe.total_epochs:
                self._epoch(earlier if self.progress.step else None, stop)
                earlier = None
                self._save_best()
                if board is not None:
                    save_history(self.progress.history, self.output)
                    board.write(self.progress.epoch, self.progress.history[-1])
                    checkpoint.save(self.output / checkpoint.FILE, self.network, self.progress)
                if self.workers.any(stop.received is not None):
                    raise Stopped(stop.received or signal.SIGTERM)
        if board is not None:
            board.close()

    def _epoch(self, earlier: Checkpoint | None, stop: StopSignal) -> None:
        """Trains an epoch, or what a checkpoint within it has left to do."""
        progress, pipeline = self.progress, self.pipeline
        began = time.perf_counter()
        first, progress.step = progress.step, 0

        def save(done: int) -> None:
            sums = self.workers.metric_sums(self.network)
            if self.workers.is_chief:
                seconds = progress.seconds + time.perf_counter() - began
                state = dataclasses.replace(progress, step=done, seconds=seconds)
                checkpoint.save(self.output / checkpoint.FILE, self.network, state, sums)
            self.workers.barrier("nobody stops before it is written")

        def restore_metrics() -> None:
            if earlier is not None:
                self.workers.set_metric_sums(self.network, earlier.metrics)

        def start_random() -> None:
            if earlier is None:
                seed_epoch(self.seed, progress.epoch)
            else:
                earlier.restore_random_state()

        guard = Guard(
            save,
            self.recipe.checkpoint_minutes,
            stop,
            pipeline.steps,
            first,
            restore_metrics,
            start_random,
            self.workers.any if self.workers.count > 1 else None,
        )
        try:
            logs = self.network.fit(
                self.workers.feed(pipeline.epoch(progress.epoch, first)),
                initial_epoch=progress.epoch,
                epochs=progress.epoch + 1,
                steps_per_epoch=pipeline.steps - first,
                validation_data=self.validation.batches,
                validation_steps=self.validation.steps,
                callbacks=[guard, *self._callbacks(first)],
                shuffle=False,  # done by the pipeline; Keras would warn that it cannot
                verbose=self.verbose,
            ).history
        except FloatingPointError as error:
            raise FloatingPointError(
                f"{error} of epoch {progress.epoch + 1}. {_last_checkpoint(self.output)} Try a "
                f"lower learning rate than {self.recipe.learning_rate:g}"
            ) from error
        seconds = time.perf_counter() - began
        progress.history.append(
            epoch_values(
                {name: values[-1] for name, values in logs.items()},
                float(self.schedule((progress.epoch + 1) * pipeline.steps - 1)),
                seconds,
                (pipeline.steps - first) * pipeline.batch_size / seconds,
            )
        )
        progress.epoch += 1
        progress.seconds += seconds

    def _callbacks(self, first: int) -> list[keras.callbacks.Callback]:
        callbacks: list[keras.callbacks.Callback] = []
        if averages(self.network.optimizer):
            callbacks.append(AveragedWeights())
        if self.verbose:
            steps, batch = self.pipeline.steps, self.pipeline.batch_size
            callbacks.append(ProgressBar(self.recipe.total_epochs, steps, first, batch))
        return callbacks

    def _save_best(self) -> None:
        if best_epoch(self.progress.history) == self.progress.epoch:
            with averaged_weights(self.network), self.workers.alone():
                if self.workers.is_chief:
                    save_model(self.model, self.output / "best.keras")


def _last_checkpoint(output: Path) -> str:
    file = output / checkpoint.FILE
    if not file.is_file():
        return "There is no checkpoint yet."
    progress = Checkpoint(file).progress
    done = f"after epoch {progress.epoch}, step {progress.step}"
    return f"The last good checkpoint is {file}, {done}."
