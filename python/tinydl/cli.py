"""The command line: `tinydl train`, `tinydl eval`, `tinydl generate`, `tinydl info`."""

from __future__ import annotations

import errno
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from . import __version__, backend, capture, cuda, random

_NAME = click.argument("name")
_THREADS = click.option("--threads", type=click.IntRange(min=1), help="Threads to compute with.")


def _checked_device(_: Any, __: Any, name: str | None) -> str | None:
    """The device, which becomes the current one, or the line that says what it lacks, before anything else is done."""

    def choose() -> None:
        backend.check_device(name)
        if name is not None and name.startswith("cuda:"):
            cuda.set_device(name)

    _guard(choose)
    return name


_DEVICE = click.option(
    "--device",
    metavar="DEVICE",
    callback=_checked_device,
    help="Where to compute: cpu (the default), cuda, or cuda:1 and so on.",
)
_DATA = click.option(
    "--data",
    help="Of images: digits (the default), mnist, fashion-mnist (downloaded where they are missing), or a folder with "
    "MNIST's four files. Of sequence-rnn: waves (the default) or noise. Of text: python (the default), shakespeare "
    "(downloaded where it is missing), or a text file in UTF-8. The other recipes make their own.",
)
_STYLE = click.option(
    "--style",
    type=click.Choice(["pytorch", "keras"]),
    default="pytorch",
    show_default=True,
    help="Whose words to build the model and to report in.",
)


class _WithRecipes(click.Command):
    """A command whose help ends with what its NAME can be."""

    def recipes(self) -> Any:
        """The recipes by name; they are imported only when somebody asks."""
        from .train import recipes

        return recipes.RECIPES

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list."""
        with formatter.section("Recipes"):
            formatter.write_dl([(name, recipe.about) for name, recipe in self.recipes().items()])


class _WithWriters(_WithRecipes):
    """A command that takes the recipes of models that write."""

    def recipes(self) -> Any:
        """Likewise."""
        return _writers()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="tinydl")
def main() -> None:
    """Train and run the models of deep-learning textbooks."""


# -- train ------------------------------------------------------------------------------------------------------


@main.command(cls=_WithRecipes)
@_NAME
@_DATA
@click.option("--epochs", type=click.IntRange(min=1), help="By default the recipe's.")
@click.option("--batch-size", type=click.IntRange(min=1), help="By default the recipe's.")
@click.option("--lr", type=click.FloatRange(min=0, min_open=True), help="Learning rate; by default the recipe's.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of initial weights, shuffling and dropout.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    default="float32",
    show_default=True,
    help="What products are computed in; sums, norms and losses stay float32.",
)
@_THREADS
@_DEVICE
@click.option("--graph", is_flag=True, help="Replay the steps from CUDA graphs (with --device cuda).")
@click.option("--checkpoint", type=click.Path(dir_okay=False), help="Save the run to this file after each epoch.")
@click.option("--resume", type=click.Path(dir_okay=False), help="Go on from a file of --checkpoint, with its options.")
@_STYLE
def train(name: str, data: str | None, threads: int | None, style: str, **options: Any) -> None:
    """Train the model of recipe NAME and print how it does on the test set."""
    recipe = _guard(lambda: _recipe(name))
    source = data or recipe.source
    _set_threads(threads)
    random.manual_seed(options["seed"])
    click.echo(recipe.describe(source))
    trainer, report = _guard(lambda: _train(recipe, source, style, options))
    click.echo(report)
    if text := _guard(lambda: "".join(recipe.sample(trainer))):
        click.echo(f"\na sample:\n{text}")


def _train(recipe: Any, source: str, style: str, options: dict[str, Any]) -> tuple[Any, str]:
    """The trainer after the run, and how its model does."""
    from .train import Checkpoint
    from .train.precision import Precision

    training, test = recipe.data(source)
    epochs = options["epochs"] or recipe.epochs_for(source)
    batch_size = options["batch_size"] or recipe.batch_size
    trainer = _trainer(recipe, style, training, options["lr"], options["device"])
    trainer.precision = Precision(options["precision"], trainer.model)
    trainer.graph = options["graph"]
    callbacks = [*_progress(recipe, style), *recipe.callbacks(epochs)]
    if options["checkpoint"]:
        _check_folder(options["checkpoint"])
        callbacks.append(Checkpoint(options["checkpoint"]))
    validation = test if recipe.validates else None
    trainer.fit(
        training,
        epochs,
        batch_size=batch_size,
        validation_data=validation,
        callbacks=callbacks,
        resume=options["resume"],
    )
    return trainer, str(recipe.report(trainer, test))


def _check_folder(path: str) -> None:
    """FileNotFoundError, before the work of an epoch is lost, where a file cannot be written for want of its folder."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)


def _recipe(name: str) -> Any:
    from .train import recipes

    return recipes.recipe(name)


def _trainer(recipe: Any, style: str, data: Any, lr: float | None = None, device: str | None = None) -> Any:
    """The trainer of a fresh model; one in Keras's words gets its images with the channels last, and returns logits."""
    if style == "pytorch":
        return _on(recipe.trainer(recipe.build(data), lr), device)
    from .keras.recipes import build

    model = build(recipe.name)
    trainer = recipe.trainer(model, lr)
    trainer.forward = model.logits
    model.summary()
    return _on(trainer, device)


def _on(trainer: Any, device: str | None) -> Any:
    """The trainer with its model, and the batches to come, on a device."""
    if device is not None:
        trainer.model.to(device)
        trainer.device = device
    return trainer


def _progress(recipe: Any, style: str) -> list[Any]:
    """What shows the epochs; nothing for those of a few microseconds."""
    if not recipe.unit:
        return []
    if style == "keras":
        from .keras.progress import Progress

        return [Progress(verbose=1)]
    from .train import ProgressBar

    return [ProgressBar(recipe.unit, recipe.units_in_sample)]


# -- eval -------------------------------------------------------------------------------------------------------


@main.command("eval", cls=_WithRecipes)
@_NAME
@click.option("--checkpoint", type=click.Path(dir_okay=False), required=True, help="A file of train --checkpoint.")
@_DATA
@_THREADS
@_DEVICE
@_STYLE
def evaluate(name: str, checkpoint: str, data: str | None, threads: int | None, device: str | None, style: str) -> None:
    """Print how a trained model of recipe NAME does on the test set."""
    recipe = _guard(lambda: _recipe(name))
    _set_threads(threads)
    click.echo(_guard(lambda: _evaluate(recipe, checkpoint, data or recipe.source, style, device)))


def _evaluate(recipe: Any, checkpoint: str, source: str, style: str, device: str | None) -> str:
    test = recipe.data(source)[1]
    trainer = _trainer(recipe, style, test, device=device)
    trainer.load(checkpoint)
    return str(recipe.report(trainer, test))


def _guard(action: Callable[[], Any]) -> Any:
    """The action's result; errors of the user's making become one line."""
    try:
        return action()
    except BrokenPipeError:  # whoever read the output has left; click ends in silence
        raise
    except (ValueError, ImportError, OSError, cuda.OutOfMemoryError, capture.CaptureError) as error:
        raise click.ClickException(_shortened(str(error))) from None


def _shortened(message: str, width: int = 300) -> str:
    """A message with its lines cut: of a checkpoint of another model the names of all weights fill pages."""
    return "\n".join(line if len(line) <= width else f"{line[:width]} ..." for line in message.splitlines())


def _set_threads(threads: int | None) -> None:
    if threads is not None:
        backend.set_num_threads(threads)


# -- generate ---------------------------------------------------------------------------------------------------


@main.command(cls=_WithWriters)
@_NAME
@click.option("--checkpoint", type=click.Path(dir_okay=False), required=True, help="A file of train --checkpoint.")
@click.option("--prompt", default="", help="The text to go on with; by default the model begins a line.")
@click.option("--length", type=click.IntRange(min=0), default=500, show_default=True, help="Tokens to write.")
@click.option(
    "--temperature",
    type=click.FloatRange(min=0, min_open=True),
    default=0.8,
    show_default=True,
    help="Below 1 for more probable texts, above 1 for more surprising ones.",
)
@click.option("--top-k", type=click.IntRange(min=1), help="Draw from the K most probable tokens.")
@click.option(
    "--top-p",
    type=click.FloatRange(min=0, max=1, min_open=True),
    help="Draw from the fewest tokens whose probabilities sum to P.",
)
@click.option("--greedy", is_flag=True, help="Always take the most probable token.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draws.")
@_THREADS
@_DEVICE
def generate(name: str, checkpoint: str, prompt: str, threads: int | None, **options: Any) -> None:
    """Let a trained model of recipe NAME write a text."""
    _set_threads(threads)
    _guard(lambda: _write(_recipe(name), checkpoint, prompt, **options))


def _writers() -> dict[str, Any]:
    """The recipes whose models write, by name."""
    from .train.recipes import RECIPES, TextRecipe

    return {name: recipe for name, recipe in RECIPES.items() if isinstance(recipe, TextRecipe)}


def _write(recipe: Any, checkpoint: str, prompt: str, length: int, device: str | None, **options: Any) -> None:
    """Print a prompt and how the model of a checkpoint goes on with it, piece by piece, and its speed to stderr."""
    if recipe.name not in _writers():
        raise ValueError(f"{recipe.name} writes no text; those that do: {', '.join(_writers())}")
    pieces = recipe.load(checkpoint).to(device or "cpu").write(prompt, length, **options)
    click.echo(prompt, nl=False)
    begin = time.perf_counter()
    for piece in pieces:
        click.echo(piece, nl=False)
    seconds = time.perf_counter() - begin
    click.echo()
    if length:
        click.echo(f"{length} tokens in {seconds:.2f} s, {length / seconds:,.0f} tokens/s", err=True)


# -- info -------------------------------------------------------------------------------------------------------


@main.command()
def info() -> None:
    """Describe the machine and what tinydl uses of it."""
    import numpy

    memory = backend.memory_stats()
    rows = {
        "tinydl": f"{__version__}, Python {platform.python_version()}, NumPy {numpy.__version__}",
        "platform": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "CPU": _cpu_model(),
        "instruction set": f"{backend.isa()} in use, {backend.detected_isa()} detected",
        "float32 products": _float32_products(),
        "threads": f"{backend.num_threads()} in use, {_usable_cpus()} CPUs usable",
        "OpenMP": ", ".join(_openmp_libraries()) or "no library found",
        "GPU": cuda.describe(),
        "memory": f"{_total_memory()}; allocator: " + ", ".join(f"{k} {v}" for k, v in memory.items()),
    }
    width = max(map(len, rows))
    for name, value in rows.items():
        click.echo(f"{name:<{width}}  {value}")


def _float32_products() -> str:
    if backend.isa() != "amx":
        return "fused multiply-adds"
    side, work = backend.tile_threshold()
    return (
        f"matrix tiles from {side} x {side} ({side} x {side // 2} where the rows of A are contiguous) and "
        f"{work / 1e6:.0f} million multiply-adds on, precision "
        f"{backend.float32_matmul_precision()}; else fused multiply-adds"
    )


def _cpu_model() -> str:
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def _usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _openmp_libraries() -> list[str]:
    """The OpenMP runtimes in this process: two of them can deadlock."""
    try:
        from threadpoolctl import threadpool_info  # type: ignore[import-untyped, unused-ignore]

        found = {pool["filepath"] for pool in threadpool_info() if pool["user_api"] == "openmp"}
    except ImportError:
        names = ("libgomp", "libiomp", "libomp")
        mapped = {line.split()[-1] for line in _lines("/proc/self/maps") if len(line.split()) > 5}
        found = {path for path in mapped if Path(path).name.startswith(names)}
    return sorted(found)


def _total_memory() -> str:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal"):
            return f"{int(line.split()[1]) / 2**20:.1f} GiB"
    return "unknown size"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main())
