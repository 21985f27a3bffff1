"""The recurrent and the Transformer model in PyTorch, eager, in the articles' style.

Imported only where torch is installed: it is no dependency of the book.
"""

import time

import numpy as np
import torch
from torch import nn


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
        _put(getattr(model.cell, f"bias_hh_l{layer}"), biases[1])
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


def outputs(model, x) -> np.ndarray:
    """Returns the model's outputs for the array x."""
    with torch.no_grad():
        return model(torch.from_numpy(x)).numpy()


def seconds_per_epoch(model, optimizer, x, y, batch_size: int, epochs: int) -> list[float]:
    """Trains for so many epochs, eagerly, and returns what each took."""
    x, y = torch.from_numpy(x), torch.from_numpy(y).long()
    loss_fn, seconds = nn.CrossEntropyLoss(), []
    for _ in range(epochs):
        started = time.perf_counter()
        for rows in torch.randperm(len(x)).split(batch_size):
            optimizer.zero_grad()
            loss = loss_fn(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
        seconds.append(time.perf_counter() - started)
    return seconds


def adam(model):
    """Returns Adam with the settings of Keras' default."""
    return torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-7)
