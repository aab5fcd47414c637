"""The language models on tiny shakespeare beside PyTorch's: the same weights, batches and schedule. Minutes long.

`pytest --slow -s` prints both losses; TINYDL_EPOCHS changes how long they learn.
"""

import os

import pytest

import tinydl
from bench.peers import torch_text
from tinydl.text import corpora
from tinydl.train.recipes import recipe
from tinydl.utils.data import DataLoader

EPOCHS = {"text-lstm": 6, "text-gpt": 5}
TWINS = {"text-lstm": torch_text.lstm, "text-gpt": torch_text.gpt}


class Twin:
    """Trains PyTorch's model on every batch, at the same rates, and counts the seconds."""

    def __init__(self, torch, trainer, spec):
        self.torch, self.spec = torch, spec
        self.model = TWINS[spec.name](torch, trainer.model.model)
        group = trainer.optimizer.param_groups[0]
        settings = {name: group[name] for name in ("lr", "betas", "eps", "weight_decay") if name in group}
        self.optimizer = getattr(torch.optim, type(trainer.optimizer).__name__)(self.model.parameters(), **settings)

    def step(self, inputs, targets, rate):
        torch = self.torch
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        logits = self.model(torch.from_numpy(inputs.numpy()))
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(targets.numpy()).flatten())
        self.optimizer.zero_grad()
        loss.backward()
        if self.spec.clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.spec.clip)
        self.optimizer.step()

    def validate(self, test, batch_size):
        torch, total = self.torch, 0.0
        self.model.eval()
        with torch.no_grad():
            for inputs, targets in DataLoader(test, batch_size=batch_size):
                logits = self.model(torch.from_numpy(inputs.numpy()))
                wanted = torch.from_numpy(targets.numpy()).flatten()
                total += torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted).item() * len(inputs)
        return total / len(test)


@pytest.mark.slow
@pytest.mark.parametrize("name", TWINS)
def test_validation_loss_is_within_two_percent_of_pytorch(name, torch):
    spec = recipe(name)
    try:
        corpora.shakespeare()
    except OSError as error:
        pytest.skip(str(error))
    tinydl.manual_seed(0)
    torch.manual_seed(0)
    training, test = spec.data("shakespeare")
    trainer = spec.trainer(spec.build(training))
    twin = Twin(torch, trainer, spec)
    epochs = int(os.environ.get("TINYDL_EPOCHS", EPOCHS[name]))
    step = trainer.train_step

    def both(batch):
        twin.step(*batch, trainer.optimizer.param_groups[0]["lr"])
        return step(batch)

    trainer.train_step = both
    trainer.fit(training, epochs, batch_size=spec.batch_size, callbacks=spec.callbacks(epochs))
    ours, theirs = trainer.evaluate(test, batch_size=256)["loss"], twin.validate(test, 256)
    size = f"{spec.batch_size} x {spec.length}"
    print(f"\n{name}, {trainer.step} steps of {size} characters: validation loss {ours:.4f}, PyTorch {theirs:.4f}")
    assert ours < 2.2  # both have learned: chance is 4.2
    assert abs(ours - theirs) < 0.02 * theirs
