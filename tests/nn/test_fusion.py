"""What Sequential and the Keras-like models fuse computes what its parts compute; results in between stay right."""

import numpy as np
import pytest

import tinydl
from tests.support.arrays import normal
from tests.support.compare import assert_close
from tinydl import nn
from tinydl.keras import Input, Model, Sequential, layers
from tinydl.ops.conv import Conv2dMaxPool

POOLS = {
    "2 x 2": lambda: nn.MaxPool2d(2),
    "overlapping, padded": lambda: nn.MaxPool2d(3, stride=2, padding=1),
    "dilated, ceil": lambda: nn.MaxPool2d((2, 3), stride=(1, 2), dilation=(2, 1), ceil_mode=True),
}


@pytest.fixture
def fused(monkeypatch):
    """The convolutions that took in a pooling."""
    calls = []
    forward = Conv2dMaxPool.forward

    def counted(self, *args):
        calls.append(self.activation)
        return forward(self, *args)

    monkeypatch.setattr(Conv2dMaxPool, "forward", counted)
    return calls


def separately(modules, x):
    for module in modules:
        x = module(x)
    return x


def gradients(net, run, x, rng):
    """The output, and the gradients of the input and the parameters."""
    x = tinydl.tensor(x, requires_grad=True)
    net.zero_grad()
    out = run(x)
    (out * tinydl.tensor(normal(rng, out.shape))).sum().backward()
    return [out.detach(), x.grad, *(p.grad for p in net.parameters())]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("activation", [None, nn.ReLU, nn.Sigmoid, nn.Tanh])
@pytest.mark.parametrize("values", ["normal", "with ties"])
def test_pooling_equals_separate_modules(rng, fused, activation, pool, values):
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *([activation()] if activation else []), POOLS[pool]())
    x = normal(rng, (4, 3, 9, 11))
    if values == "with ties":
        x = np.round(x)
        net[0].weight.data.copy_(tinydl.tensor(np.round(normal(rng, (8, 3, 3, 3)))))
    seed = rng.integers(2**32)
    got = gradients(net, net, x, np.random.default_rng(seed))
    assert len(fused) == 1
    expected = gradients(net, lambda x: separately(net, x), x, np.random.default_rng(seed))
    assert len(fused) == 1
    assert np.array_equal(got[0], expected[0])
    if pool == "2 x 2":  # elsewhere windows overlap, and f's gradient comes before the sum over them
        assert np.array_equal(got[1], expected[1])
    for mine, theirs in zip(got[1:], expected[1:], strict=True):
        assert_close(mine, theirs, "gradient", length=400, scale=np.abs(np.asarray(theirs)).max())


def test_an_image_alone_and_no_gradients(rng, fused):
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2))
    x = tinydl.tensor(normal(rng, (1, 8, 8)))
    with tinydl.no_grad():
        assert np.array_equal(net(x), separately(net, x))
    assert fused == ["relu"]


@pytest.mark.parametrize("hooked", [0, 1, 2])
def test_modules_with_hooks_run_by_themselves(fused, hooked):
    net, seen = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2)), []
    net[hooked].register_forward_hook(lambda module, args, out: seen.append(tuple(out.shape)))
    net(tinydl.ones(1, 1, 6, 6))
    assert seen == [[(1, 2, 4, 4), (1, 2, 4, 4), (1, 2, 2, 2)][hooked]]
    assert not fused


def test_positions_and_other_classes_are_not_fused(fused):
    class Twice(nn.MaxPool2d):
        def forward(self, input):
            return 2 * super().forward(input)

    x = tinydl.ones(1, 1, 6, 6)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2, return_indices=True))
    assert len(net(x)) == 2
    for second in (Twice(2), nn.AvgPool2d(2), nn.LeakyReLU()):
        net = nn.Sequential(nn.Conv2d(1, 2, 3), second)
        assert np.array_equal(net(x).detach(), separately(net, x).detach())
    assert not fused


def test_as_in_torch(rng, torch):
    pairs = {
        "2 x 2": lambda lib: lib.MaxPool2d(2),
        "padded": lambda lib: lib.MaxPool2d(3, stride=2, padding=1),
        "windows of padding alone": lambda lib: lib.MaxPool2d(2, stride=1, padding=1, dilation=4),
        "a list": lambda lib: lib.MaxPool2d([2, 3], stride=[1, 2]),
    }
    x, weight, bias = normal(rng, (2, 3, 5, 6), np.float64), normal(rng, (4, 3, 1, 1), np.float64), normal(rng, (4,))
    for pool in pairs.values():
        found = []
        for lib, modules in ((tinydl, nn), (torch, torch.nn)):
            net = modules.Sequential(modules.Conv2d(3, 4, 1), modules.Sigmoid(), pool(modules)).double()
            net.load_state_dict({"0.weight": lib.tensor(weight), "0.bias": lib.tensor(bias.astype(np.float64))})
            image = lib.tensor(x, requires_grad=True)
            out = net(image)
            out[out > -5].sum().backward()
            found.append([out.detach(), image.grad, net[0].weight.grad, net[0].bias.grad])
        for mine, theirs in zip(*found, strict=True):
            assert_close(mine, theirs.numpy(), "gradient", length=100, scale=10.0)


def test_the_output_may_be_changed_in_place(rng):
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.MaxPool2d(2))
    x, found = normal(rng, (2, 2, 8, 8)), []
    for run in (net, lambda x: separately(net, x)):
        image = tinydl.tensor(x, requires_grad=True)
        out = run(image)
        out.mul_(3.0)
        out.sum().backward()
        found.append(image.grad)
    assert np.array_equal(*found)


def test_a_forward_of_its_own_is_called(fused):
    for which, forward in ((0, lambda x: x + 1), (1, lambda x: x + 2), (2, lambda x: x + 3)):
        net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2))
        net[which].forward = forward
        x = tinydl.ones(1, 1, 6, 6)
        assert np.array_equal(net(x).detach(), separately(net, x).detach())
    assert not fused


def test_wrong_windows_are_told():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(5))
    with pytest.raises(ValueError, match="max_pool2d"):
        net(tinydl.ones(1, 1, 6, 6))


# -- Keras-like models ------------------------------------------------------------------------------------------


def images(rng):
    return normal(rng, (3, 9, 8, 2)), rng.integers(0, 4, 3)


def chain(first, second, activation="relu"):
    return Sequential([Input((9, 8, 2)), layers.Conv2D(5, 3, activation=activation), *first, *second, layers.Dense(4)])


@pytest.mark.parametrize("options", [{}, {"padding": "same"}, {"pool_size": 3, "strides": 2}])
def test_keras_models_equal_their_layers(rng, fused, options):
    model = chain([layers.MaxPooling2D(**options)], [layers.Flatten()])
    x, _ = images(rng)
    expected = separately(model.layers, x)
    assert not fused
    assert np.array_equal(model(x), expected)
    assert fused == ["relu"]


def test_keras_training_is_the_same(rng, fused):
    x, labels = images(rng)
    losses = []
    for pool in ([layers.MaxPooling2D()], [layers.Activation("linear"), layers.MaxPooling2D()]):
        tinydl.manual_seed(0)
        model = chain(pool, [layers.Flatten()])
        model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
        losses.append(model.fit(x, labels, epochs=5, batch_size=3, verbose=0).history["loss"])
    assert len(fused) == 5
    assert_close(*map(np.array, losses), "gradient", length=10000, scale=1.0)


def test_a_keras_output_in_between_is_right(rng, fused):
    x, _ = images(rng)
    entry = Input((9, 8, 2))
    full = layers.Conv2D(5, 3, activation="relu")(entry)
    pooled = layers.MaxPooling2D()(full)
    both, alone = Model(entry, [full, pooled]), Model(entry, pooled)
    outputs = both(x)
    assert not fused
    assert outputs[0].shape == (3, 7, 6, 5)
    assert np.array_equal(alone(x), outputs[1])
    assert len(fused) == 1


@pytest.mark.parametrize(
    "model",
    [
        lambda: chain([layers.MaxPooling2D()], [layers.Flatten()], activation="elu"),
        lambda: chain([layers.MaxPooling2D()], [layers.Flatten()], activation="softmax"),
        lambda: chain([layers.MaxPooling2D(strides=1, padding="same")], [layers.Flatten()]),
        lambda: chain([layers.MaxPooling2D(activity_regularizer="l2")], [layers.Flatten()]),
        lambda: chain([layers.AveragePooling2D()], [layers.Flatten()]),
    ],
)
def test_keras_layers_that_are_not_fused(rng, fused, model):
    model, (x, _) = model(), images(rng)
    assert np.array_equal(model(x), separately(model.layers, x))
    assert not fused


def test_a_layer_of_ones_own_is_not_taken_for_a_pooling(rng, fused):
    class Scale(layers.Layer):
        windows, takes_pooling = ((2, 2), (2, 2), (0, 0), (1, 1), False), True

        def call(self, inputs):
            return inputs * 100

    model, (x, _) = chain([Scale()], [layers.MaxPooling2D(), Scale(), layers.Flatten()]), images(rng)
    assert np.array_equal(model(x), separately(model.layers, x))
    assert not fused
