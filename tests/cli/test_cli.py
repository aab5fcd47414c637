"""The command line: what it prints, and what it refuses."""

import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

import tinydl
from tinydl import backend
from tinydl.cli import main
from tinydl.train import recipes
from tinydl.vision.datasets import MNIST

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: data)")


def run(*args, code=0):
    result = CliRunner().invoke(main, args)
    assert result.exit_code == code, result.output
    return result.output


FIRST = (
    "training on the embedded default, scikit-learn's handwritten digits scaled to 28 x 28; "
    "--data mnist uses the MNIST files"
)


@pytest.mark.parametrize("name", ["mnist-cnn", "mnist-cnn-3pool", "mnist-cnn-single", "mlp"])
def test_train(name):
    lines = run("train", name, "--epochs", "1").splitlines()
    assert lines[0] == FIRST
    assert any("epoch 1/1: 100%" in line and "images/s" in line for line in lines)
    assert re.fullmatch(r"test accuracy [01]\.\d{4}", lines[-1])


def test_train_in_keras_words():
    output = run("train", "mnist-cnn", "--epochs", "1", "--style", "keras")
    assert output.startswith(FIRST + '\nModel: "sequential"\n')
    assert "Epoch 1/1\n46/46 ━" in output
    assert re.search(r"\ntest accuracy [01]\.\d{4}\n\Z", output)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_train_in_16_bits(precision, tmp_path):
    path = str(tmp_path / "run.safetensors")
    lines = run("train", "mlp", "--epochs", "1", "--precision", precision, "--checkpoint", path).splitlines()
    assert re.fullmatch(r"test accuracy [01]\.\d{4}", lines[-1])
    output = run("train", "mlp", "--epochs", "2", "--resume", path, code=1)
    assert f"its run has precision: {precision}, this one: float32" in output
    assert run("train", "mlp", "--epochs", "2", "--precision", precision, "--resume", path)


def test_train_a_line():
    output = run("train", "linear-regression", "--epochs", "200")
    assert re.fullmatch(r"linear-regression: .*\ntest loss 0\.0[78]\d\d\n", output)


def test_the_accuracy_is_that_of_the_test_set():
    last = run("train", "mlp", "--epochs", "2", "--seed", "3").splitlines()[-1]
    tinydl.manual_seed(3)
    recipe = recipes.recipe("mlp")
    train, test = recipe.data("digits")
    trainer = recipe.trainer(recipe.build(train))
    trainer.fit(train, 2, batch_size=recipe.batch_size, callbacks=recipe.callbacks(2))
    outputs = trainer.predict(test)
    right = sum(int(row.argmax() == label) for row, label in zip(outputs, test.tensors[1].tolist(), strict=True))
    assert last == f"test accuracy {right / len(test):.4f}"


@pytest.mark.parametrize("style", ["pytorch", "keras"])
def test_resume_and_eval(tmp_path, style):
    options = ("mnist-cnn-single", "--style", style, "--epochs", "2", "--batch-size", "128")
    whole = run("train", *options, "--checkpoint", str(tmp_path / "whole.safetensors")).splitlines()[-1]
    # the run of the first epoch alone has another schedule: stop the whole run after it instead
    half = tmp_path / "half.safetensors"
    _train_one_epoch_of_two(half, style)
    assert run("train", *options, "--seed", "9", "--resume", str(half)).splitlines()[-1] == whole
    saved = ("--checkpoint", str(tmp_path / "whole.safetensors"))
    assert run("eval", "mnist-cnn-single", "--style", style, *saved).splitlines()[-1] == whole


def _train_one_epoch_of_two(path, style):
    from tinydl import cli
    from tinydl.train import Callback, Checkpoint

    class Stop(Callback):
        saves = True

        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    tinydl.manual_seed(0)
    recipe = recipes.recipe("mnist-cnn-single")
    train, _ = recipe.data("digits")
    trainer = cli._trainer(recipe, style, train)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(train, 2, batch_size=128, callbacks=[*recipe.callbacks(2), Checkpoint(path), Stop()])


def test_mnist_files(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYDL_DATA", str(tmp_path))
    monkeypatch.setattr(MNIST, "mirrors", ("http://127.0.0.1:1/nobody",))
    output = run("train", "mnist-cnn", "--data", "mnist", code=1)
    assert output.startswith("training on the MNIST files\nError: download: no mirror gave train-images-idx3-ubyte.gz")
    output = run("train", "mnist-cnn", "--data", str(tmp_path), code=1)
    assert f"training on the MNIST files in {tmp_path}\nError: MNIST: found neither" in output


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ("train", "resnet"),
            "Error: unknown recipe 'resnet'; known: mnist-cnn, mnist-cnn-3pool, mnist-cnn-single, mlp, ",
        ),
        (("eval", "resnet", "--checkpoint", "x"), "Error: unknown recipe 'resnet'; known: mnist-cnn, "),
        (("train", "mnist-cnn", "--data", "cifar"), "Error: data 'cifar' is neither one of digits, mnist, "),
        (("train", "linear-regression", "--data", "mnist"), "Error: data 'mnist' is unknown; linear-regression makes"),
        (("train", "mlp", "--style", "keras"), "Error: mlp has no Keras form; known: mnist-cnn, "),
        (("train", "mlp", "--resume", "none.safetensors"), "No such file or directory: 'none.safetensors'"),
        (("train", "mlp", "--checkpoint", "none/a.safetensors", "--epochs", "1"), "No such file or directory"),
    ],
)
def test_errors(args, message):
    assert message in run(*args, code=1)


def test_a_missing_folder_is_told_before_training():
    output = run("train", "mlp", "--checkpoint", "none/a.safetensors", "--epochs", "1", code=1)
    assert output == f"{FIRST}\nError: [Errno 2] No such file or directory: 'none'\n"


def test_help_lists_the_recipes():
    writers = [name for name, recipe in recipes.RECIPES.items() if isinstance(recipe, recipes.TextRecipe)]
    for command, names in (("train", [*recipes.RECIPES]), ("eval", [*recipes.RECIPES]), ("generate", writers)):
        listed = run(command, "--help").split("\nRecipes:\n")[1]
        assert [line.split()[0] for line in listed.splitlines() if line[2] != " "] == names
        for name in names:
            assert " ".join([name, recipes.RECIPES[name].about]) in " ".join(listed.split())


def test_a_checkpoint_of_another_model(tmp_path):
    path = str(tmp_path / "a.safetensors")
    run("train", "mlp", "--epochs", "1", "--checkpoint", path)
    output = run("eval", "mnist-cnn", "--checkpoint", path, code=1)
    assert "the checkpoint does not fit this run" in output
    output = run("eval", "dates-transformer", "--checkpoint", path, code=1)
    assert max(map(len, output.splitlines())) < 310  # not the names of all weights
    (tmp_path / "a.safetensors").write_bytes(b"junk" * 10)
    assert "not a safetensors file" in run("eval", "mlp", "--checkpoint", path, code=1)


@pytest.mark.parametrize("option", ["--epochs=0", "--batch-size=0", "--lr=0", "--threads=0", "--style=jax"])
def test_options_out_of_range(option):
    assert "Usage:" in run("train", "mlp", option, code=2)


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    output = run("train", "mnist-cnn", "--epochs", "1", code=1)
    assert re.search(r"pip install ['\"]tinydl\[data\]['\"]", output)


def test_threads():
    with backend.use_threads(backend.num_threads()):
        run("train", "linear-regression", "--epochs", "1", "--threads", "1")
        assert backend.num_threads() == 1


def test_info():
    rows = dict(line.split("  ", 1) for line in run("info").splitlines())
    assert rows["tinydl"].strip().startswith(tinydl.__version__)
    text = {name: value.strip() for name, value in rows.items()}
    assert text["instruction set"] == f"{backend.isa()} in use, {backend.detected_isa()} detected"
    assert text["threads"].startswith(f"{backend.num_threads()} in use")
    assert "gomp" in text["OpenMP"] or "omp" in text["OpenMP"]
    assert text["GPU"] == tinydl.cuda.describe()
    assert tinydl.cuda.is_available() or text["GPU"].startswith("none: ")
    assert "GiB; allocator: " in text["memory"]
    assert text["CPU"]


def test_openmp_without_threadpoolctl(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    assert re.search(r"OpenMP +/\S*omp\S*\.so", run("info"))


def test_python_m():
    done = subprocess.run([sys.executable, "-m", "tinydl", "--version"], capture_output=True, text=True, check=True)
    assert tinydl.__version__ in done.stdout


def test_import_is_light():
    """`import tinydl` imports neither what only training needs, nor the parts that need it."""
    heavy = ("safetensors", "tqdm", "click", "sklearn", "tinydl.keras", "tinydl.cli")
    code = f"import sys, tinydl; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    code = code.replace("import sys, tinydl", "import sys, tinydl, tinydl.train, tinydl.keras as keras")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['tinydl.keras']"
