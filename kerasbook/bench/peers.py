"""The same models in PyTorch, in the articles' style, with the weights of the Keras models.

Imported only where torch is installed, which is no dependency of the book, and in processes without
TensorFlow: some builds of the two crash in one process. The batches are gathered
from the arrays; a DataLoader, which collects them example by example, would be slower.
"""

import os

from kerasbook.bench import turns

import numpy as np
import torch
from torch import nn

EPSILON = 1e-7


class Reader(nn.Module):
    """A recurrent network; its last state goes into a dense layer."""

    def __init__(self, cell, inputs: int, units: int, depth: int, classes: int):
        super().__init__()
        self.cell = cell(inputs, units, num_layers=depth, batch_first=True)
        self.dense = nn.Linear(units, classes)

    def forward(self, x):
        """Returns logits (n, classes) for x (n, time, inputs)."""
        outputs, _ = self.cell(x)
        return self.dense(outputs[:, -1])


class Encoder(nn.Module):
    """Transformer blocks, the normalisation first; the mean over time goes into a dense layer."""

    def __init__(self, width: int, heads: int, hidden: int, depth: int, classes: int):
        super().__init__()
        options = {"dropout": 0.0, "batch_first": True, "norm_first": True}
        block = nn.TransformerEncoderLayer(width, heads, hidden, **options)
        self.blocks = nn.TransformerEncoder(block, depth, enable_nested_tensor=False)
        self.dense = nn.Linear(width, classes)

    def forward(self, x):
        """Returns logits (n, classes) for x (n, time, width)."""
        return self.dense(self.blocks(x).mean(1))


def linear(weights) -> nn.Sequential:
    """Returns one dense layer without an activation."""
    return _filled(nn.Sequential(_linear(weights[0], len(weights) > 1)), weights)


def dense(weights) -> nn.Sequential:
    """Returns the dense network for pictures (n, height, width, 1), with ReLU between layers."""
    modules: list[nn.Module] = [nn.Flatten()]
    for kernel in weights[::2]:
        modules += [_linear(kernel), nn.ReLU()]
    return _filled(nn.Sequential(*modules[:-1]), weights)


def convolutional(weights) -> nn.Sequential:
    """Returns the article's CNN for pictures (n, 28, 28, 1)."""
    modules: list[nn.Module] = [_ChannelsFirst()]
    for kernel in weights[:6:2]:
        modules += [nn.Conv2d(kernel.shape[2], kernel.shape[3], 3), nn.ReLU(), nn.MaxPool2d(2)]
    modules[-1] = nn.Flatten()  # no pooling after the last
    weights = list(weights)
    maps = weights[4].shape[-1]  # Keras flattens (height, width, maps), PyTorch (maps, …)
    places = weights[6].reshape(-1, maps, weights[6].shape[-1])
    weights[6] = places.transpose(1, 0, 2).reshape(weights[6].shape)
    modules += [_linear(weights[6]), nn.ReLU(), _linear(weights[8])]
    return _filled(nn.Sequential(*modules), weights)


class _ChannelsFirst(nn.Module):
    def forward(self, x):
        return x.permute(0, 3, 1, 2)


def _linear(kernel, bias=True) -> nn.Linear:
    return nn.Linear(*kernel.shape, bias=bias)


def _filled(model, weights):
    """The model with these weights, in Keras' order and layout."""
    for parameter, weight in zip(model.parameters(), weights, strict=True):
        axes = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}[weight.ndim]
        _put(parameter, weight.transpose(axes))
    return model


def reader(weights, kind: str, inputs: int, units: int, depth: int, classes: int) -> Reader:
    """Returns a GRU or an LSTM with the weights of the Keras model."""
    model = Reader({"gru": nn.GRU, "lstm": nn.LSTM}[kind], inputs, units, depth, classes)
    weights = [np.asarray(weight) for weight in weights]

    def rows(weight):  # Keras' thirds are z, r, candidate, PyTorch's r, z, candidate
        parts = np.split(weight, 3 if kind == "gru" else 4, axis=-1)
        return np.concatenate(
            [parts[i] for i in ((1, 0, 2) if kind == "gru" else (0, 1, 2, 3))], -1
        )

    for layer in range(depth):
        kernel, recurrent, bias = map(rows, weights[3 * layer : 3 * layer + 3])
        biases = bias if kind == "gru" else (bias, np.zeros_like(bias))
        _put(getattr(model.cell, f"weight_ih_l{layer}"), kernel.T)
        _put(getattr(model.cell, f"weight_hh_l{layer}"), recurrent.T)
        _put(getattr(model.cell, f"bias_ih_l{layer}"), biases[0])
        second = getattr(model.cell, f"bias_hh_l{layer}")
        _put(second, biases[1])
        second.requires_grad = kind == "gru"  # Keras' LSTM has one bias, not a sum of two
    _put(model.dense.weight, weights[-2].T)
    _put(model.dense.bias, weights[-1])
    return model


def encoder(weights, width: int, heads: int, hidden: int, depth: int, classes: int) -> Encoder:
    """Returns a Transformer with the weights of the Keras model, block by block."""
    model = Encoder(width, heads, hidden, depth, classes)
    weights = iter([np.asarray(weight) for weight in weights])

    def norm(target):
        _put(target.weight, next(weights))
        _put(target.bias, next(weights))

    def dense(target):
        _put(target.weight, next(weights).T)
        _put(target.bias, next(weights))

    for block in model.blocks.layers:
        norm(block.norm1)
        parts = [next(weights) for _ in range(6)]  # query, key, value: kernel and bias of each
        kernels = [kernel.reshape(width, width).T for kernel in parts[::2]]
        _put(block.self_attn.in_proj_weight, np.concatenate(kernels))
        _put(block.self_attn.in_proj_bias, np.concatenate([bias.ravel() for bias in parts[1::2]]))
        _put(block.self_attn.out_proj.weight, next(weights).reshape(width, width).T)
        _put(block.self_attn.out_proj.bias, next(weights))
        norm(block.norm2)
        dense(block.linear1)
        dense(block.linear2)
        for layer in (block.norm1, block.norm2):
            layer.eps = 1e-6
    dense(model.dense)
    return model


def _put(parameter, values) -> None:
    with torch.no_grad():
        parameter.copy_(torch.tensor(np.ascontiguousarray(values)))


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def adam(model):
    """Returns Adam with the settings of Keras' default."""
    return torch.optim.Adam(model.parameters(), lr=0.001, eps=EPSILON)


def set_epsilon(optimizer, step: int) -> None:
    """Lets Adam compute what Keras' does: that adds ε before the correction of the bias."""
    optimizer.param_groups[0]["eps"] = EPSILON / (1 - 0.999**step) ** 0.5


def outputs(model, x) -> np.ndarray:
    """Returns the model's outputs for the array x."""
    with torch.no_grad():
        return model(torch.from_numpy(x).to(_device())).cpu().numpy()


def train(model, optimizer, x, y, batch_size: int, epochs: int, shuffle: bool, done) -> None:
    """Trains for so many epochs, and calls `done` after each."""
    device = _device()
    x, y = torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)
    loss_fn = nn.MSELoss()
    if not y.is_floating_point():
        y, loss_fn = y.long(), nn.CrossEntropyLoss()
    step = optimizer.steps = getattr(optimizer, "steps", 0)
    for _ in range(epochs):
        order = torch.randperm(len(x)) if shuffle else torch.arange(len(x))
        for rows in order.to(device).split(batch_size):
            optimizer.zero_grad()
            loss = loss_fn(model(x[rows]), y[rows])
            loss.backward()
            set_epsilon(optimizer, step := step + 1)
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        optimizer.steps = step
        done()


class Side:
    """PyTorch in the articles' style: eager, batch by batch; or with `torch.compile`."""

    def __init__(self, make: tuple, weights: list, batch_size: int, compiled: bool = False):
        """Takes the function of this module that makes the model, and its arguments."""
        name, *arguments = make
        self.model = globals()[name](weights, *arguments).to(_device())
        self.optimizer, self.batch_size = adam(self.model), batch_size
        self.forward = torch.compile(self.model) if compiled else self.model

    def train(self, x, y, epochs, shuffle, done):
        """Trains for so many epochs, and calls `done` after each."""
        train(self.forward, self.optimizer, x, y, self.batch_size, epochs, shuffle, done)

    def threads(self):
        """Returns how many threads one operation may take."""
        return torch.get_num_threads()

    def outputs(self, x):
        """Returns the model's outputs (examples, …) for x."""
        return outputs(self.model, x)


def take_part(make, weights, data, batch_size, compiled, settings, connection) -> None:
    """Takes part as the process of one side; see kerasbook.bench.turns."""
    if settings["device"] == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    elif settings["device"] == "gpu" and not torch.cuda.is_available():
        connection.send({"error": "this build of torch sees no GPU"})
        return
    torch.backends.cuda.matmul.allow_tf32 = True  # as TensorFlow does
    turns.take(lambda: Side(make, weights, batch_size, compiled), *data, batch_size, connection)
