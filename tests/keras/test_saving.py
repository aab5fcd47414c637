"""Models in files: the same layers, weights and outputs; what cannot be saved or loaded."""

import numpy as np
import pytest

import tinydl
from tinydl.keras import Sequential, layers, models, regularizers
from tinydl.train import checkpoint

from ..train.models import bits


class Scaled(layers.Dense):
    """A layer of one's own."""


def model():
    tinydl.manual_seed(0)
    return Sequential(
        [
            layers.Input((9, 8, 2)),
            layers.Conv2D(4, 3, padding="same", activation="relu", kernel_regularizer=regularizers.L2(0.01)),
            layers.BatchNormalization(momentum=0.5),
            layers.MaxPooling2D((2, 2)),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(5, kernel_initializer="he_normal", name="last", activation="softmax"),
        ],
        name="mine",
    )


@pytest.fixture
def data(rng):
    return rng.standard_normal((12, 9, 8, 2)).astype(np.float32), rng.integers(0, 5, 12)


def test_a_model_comes_back(tmp_path, data):
    made = model()
    made.compile("adam", "sparse_categorical_crossentropy")
    made.fit(*data, epochs=2, verbose=0)
    path = tmp_path / "model.safetensors"
    made.save(path)
    again = models.load_model(path)
    assert (again.name, again.input_shape, again.compiled) == ("mine", (None, 9, 8, 2), True)
    assert [layer.get_config() for layer in again.layers] == [layer.get_config() for layer in made.layers]
    assert np.array_equal(again.predict(data[0], verbose=0), made.predict(data[0], verbose=0))
    assert [loss.item() for loss in again.losses] == [loss.item() for loss in made.losses]
    other = model()
    other.load_weights(path)
    assert np.array_equal(other.predict(data[0], verbose=0), made.predict(data[0], verbose=0))
    again.save(tmp_path / "again.safetensors")
    assert bits(checkpoint.load(tmp_path / "again.safetensors")) == bits(checkpoint.load(path))


def test_both_go_on_alike(tmp_path, data):
    """Training a loaded model from a fresh optimiser is training the saved one from a fresh optimiser."""
    made = model()
    made.save(tmp_path / "m.safetensors")
    ends = []
    for each in (made, models.load_model(tmp_path / "m.safetensors")):
        each.compile("sgd", "sparse_categorical_crossentropy")
        tinydl.manual_seed(3)
        each.fit(*data, epochs=2, verbose=0)
        ends.append([w.tobytes() for w in each.get_weights()])
    assert ends[0] == ends[1]


def test_layers_of_ones_own(tmp_path):
    path = tmp_path / "m.safetensors"
    made = Sequential([layers.Input((3,)), Scaled(2)])
    made.save(path)
    with pytest.raises(ValueError, match="the layer 'Scaled' is unknown: pass its class in custom_objects"):
        models.load_model(path)
    again = models.load_model(path, custom_objects={"Scaled": Scaled})
    assert type(again.layers[0]) is Scaled
    assert np.array_equal(again.get_weights()[0], made.get_weights()[0])


def test_what_cannot_be_saved(tmp_path):
    path = tmp_path / "m.safetensors"
    with pytest.raises(ValueError, match="save: the file name must end with"):
        model().save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match='save: model "sequential" has no weights yet'):
        Sequential([layers.Dense(1)]).save(path)
    with pytest.raises(TypeError, match="activation is a function; wanted arrays, numbers or strings"):
        Sequential([layers.Input((3,)), layers.Dense(2, activation=lambda x: x * 2)]).save(path)
    assert not list(tmp_path.iterdir())
    model().save(path)
    with pytest.raises(FileExistsError):
        model().save(path, overwrite=False)


def test_what_cannot_be_loaded(tmp_path):
    path = tmp_path / "m.safetensors"
    model().save_weights(path)
    with pytest.raises(ValueError, match="not a checkpoint"):
        models.load_model(path)
    checkpoint.save(path, {"model": {}})
    with pytest.raises(ValueError, match="holds no model"):
        models.load_model(path)
    model().save(path)
    state = checkpoint.load(path)
    for change, message in (
        (lambda s: s["config"]["layers"][0].update(class_name="exec"), "the layer 'exec' is unknown"),
        (lambda s: s["config"]["layers"][0]["config"].update(filters=-1), "cannot be made"),
        (lambda s: s["model"].pop("0.weight"), r"(?s)cannot be made: .*0\.weight"),
        (lambda s: s["config"].pop("name"), "cannot be made: 'name'"),
    ):
        model().save(path)
        state = checkpoint.load(path)
        change(state)
        checkpoint.save(path, state)
        with pytest.raises(ValueError, match=message):
            models.load_model(path)
