"""The same models in PyTorch, in the articles' style, with the weights of the Keras models.

Imported only where torch is installed, which is no dependency of the book, and in processes without
TensorFlow: some builds of the two crash in one process. A job comes as `jobs.described` gives it.
The batches are gathered from the arrays; a DataLoader, which collects them example by example,
would be slower.
"""

import os

from kerasbook.bench import turns
from kerasbook.bench.turns import BenchError

import numpy as np
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def _tensor(array) -> torch.Tensor:
    return torch.tensor(np.ascontiguousarray(array))


def _put(parameter, values) -> None:
    with torch.no_grad():
        parameter.copy_(_tensor(values))


def _linear(kernel, bias=None) -> nn.Linear:
    module = nn.Linear(*kernel.shape, bias=bias is not None)
    _put(module.weight, kernel.T)
    if bias is not None:
        _put(module.bias, bias)
    return module


# --- the layers of a Keras model, one after the other --------------------------------------


class Network(nn.Module):
    """Layers one after the other; what comes after the end of a sequence is not read.

    Pictures are (n, channels, height, width) within, as PyTorch likes them.
    """

    def __init__(self, layers: list, pictures: bool):
        """Takes (kind, settings, weights) of each layer, and whether the inputs are pictures."""
        super().__init__()
        self.pictures, self.flat = pictures, None
        self.parts = nn.ModuleList()
        for kind, settings, weights in layers:
            if kind == "Dense" and self.flat is not None:  # Keras flattens (height, width, maps)
                weights = [_rows_by_map(weights[0], self.flat), *weights[1:]]
                self.flat = None
            if kind not in MAKERS:
                raise BenchError(f"kerasbook/bench/peers.py has no {kind}")
            self.parts.extend(MAKERS[kind](settings, weights))
            if kind == "Conv2D":
                self.flat = weights[0].shape[-1]

    def forward(self, x):
        """Returns the outputs for a batch."""
        lengths = None
        if self.pictures:
            x = x.permute(0, 3, 1, 2)
        for part in self.parts:
            if isinstance(part, nn.Embedding):
                lengths = (x != 0).sum(1)
            elif isinstance(part, Masking):
                lengths = (x != 0).any(-1).sum(1)
            x = part(x, lengths) if isinstance(part, Recurrent) else part(x)
        return x


def _rows_by_map(kernel, maps):
    """The kernel for pictures that were flattened (maps, height, width)."""
    places = kernel.reshape(-1, maps, kernel.shape[-1])
    return places.transpose(1, 0, 2).reshape(kernel.shape)


class Masking(nn.Module):
    """Marks rows of zeros as padding; see Network."""

    def forward(self, x):
        """Returns x."""
        return x


class FlipSome(nn.Module):
    """Mirrors half of the pictures in training."""

    def forward(self, x):
        """Returns x (n, channels, height, width), changed in training only."""
        if not self.training:
            return x
        chosen = torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5
        return torch.where(chosen, x.flip(-1), x)


class DropWords(nn.Module):
    """Sets whole words to zero in training."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        """Returns x (n, time, width)."""
        ones = torch.ones(*x.shape[:2], 1, device=x.device)
        return x * nn.functional.dropout(ones, self.rate, self.training)


class Recurrent(nn.Module):
    """A GRU or an LSTM, in one direction or both; its outputs, or the last of each direction."""

    def __init__(self, cell: nn.RNNBase, sequences: bool):
        super().__init__()
        self.cell, self.sequences = cell, sequences

    def forward(self, x, lengths=None):
        """Returns (n, time, units) or (n, directions · units) for x (n, time, inputs)."""
        if lengths is None:
            outputs, last = self.cell(x)
            return outputs if self.sequences else self._joined(last)
        if (
            not self.cell.bidirectional
        ):  # padding comes last: to read it too is quicker than to pack
            outputs, _ = self.cell(x)
            rows = torch.arange(len(x), device=x.device)
            return outputs if self.sequences else outputs[rows, lengths - 1]
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        outputs, last = self.cell(packed)
        if self.sequences:
            return pad_packed_sequence(outputs, batch_first=True)[0]
        return self._joined(last)

    def _joined(self, last):
        """The last output of each direction, side by side; an LSTM has a c beside it."""
        return torch.cat(tuple(last[0] if isinstance(last, tuple) else last), -1)


def _dense(settings, weights):
    return [_linear(*weights), *_activation(settings["activation"])]


def _activation(name) -> list:
    return [{"relu": nn.ReLU, "tanh": nn.Tanh}[name]()] if name != "linear" else []


def _convolution(settings, weights):
    kernel, bias = weights
    module = nn.Conv2d(*kernel.shape[2:], kernel.shape[:2], padding=settings["padding"])
    _put(module.weight, kernel.transpose(3, 2, 0, 1))
    _put(module.bias, bias)
    return [module, *_activation(settings["activation"])]


def _dropout(settings, _):
    whole_words = settings.get("noise_shape") is not None
    return [(DropWords if whole_words else nn.Dropout)(settings["rate"])]


def _embedding(settings, weights):
    return [nn.Embedding.from_pretrained(_tensor(weights[0]), freeze=False)]


def _augmentation(settings, _):
    if settings["shift"]:
        raise ValueError("pictures that are moved have no peer here")
    return [FlipSome()] if settings["flip"] else []


def _recurrent(kind, sequences, directions) -> Recurrent:
    """The module for (kernel, recurrent kernel, bias) of each direction."""
    inputs, units = len(directions[0][0]), len(directions[0][1])
    cell = {"GRU": nn.GRU, "LSTM": nn.LSTM}[kind]
    cell = cell(inputs, units, batch_first=True, bidirectional=len(directions) == 2)
    for way, weights in zip(("", "_reverse"), directions, strict=False):
        kernel, recurrent, bias = (_gates(weight, kind) for weight in weights)
        biases = bias if kind == "GRU" else (bias, np.zeros_like(bias))
        _put(getattr(cell, f"weight_ih_l0{way}"), kernel.T)
        _put(getattr(cell, f"weight_hh_l0{way}"), recurrent.T)
        _put(getattr(cell, f"bias_ih_l0{way}"), biases[0])
        second = getattr(cell, f"bias_hh_l0{way}")
        _put(second, biases[1])
        second.requires_grad = kind == "GRU"  # Keras' LSTM has one bias, not a sum of two
    return Recurrent(cell, sequences)


def _gates(weight, kind):
    """The weight with its gates in PyTorch's order: a GRU's are r, z there, and z, r in Keras."""
    parts = np.split(weight, 3 if kind == "GRU" else 4, axis=-1)
    order = (1, 0, 2) if kind == "GRU" else (0, 1, 2, 3)
    return np.concatenate([parts[i] for i in order], -1)


def _one_way(kind):
    return lambda settings, weights: [_recurrent(kind, settings["return_sequences"], [weights])]


def _both_ways(settings, weights):
    inside = settings["layer"]
    sequences = inside["config"]["return_sequences"]
    return [_recurrent(inside["class_name"], sequences, [weights[:3], weights[3:]])]


# --- Transformers ---------------------------------------------------------------------------


class Blocks(nn.Module):
    """Transformer blocks, the normalisation first."""

    def __init__(self, weights, blocks: int, heads: int):
        """Takes the weights block by block, as an iterator."""
        super().__init__()
        self.blocks = nn.ModuleList(_block(weights, heads) for _ in range(blocks))

    def forward(self, x, mask=None):
        """Returns (n, time, width) for x (n, time, width)."""
        for block in self.blocks:
            x = block(x, mask, is_causal=mask is not None)
        return x


def _block(weights, heads: int) -> nn.TransformerEncoderLayer:
    """A block with the next weights: norm, query, key, value, projection, norm, two dense."""
    found = [next(weights) for _ in range(16)]
    width, hidden = found[12].shape
    block = nn.TransformerEncoderLayer(
        width, heads, hidden, dropout=0.0, batch_first=True, norm_first=True, layer_norm_eps=1e-6
    )
    kernels = [kernel.reshape(width, width).T for kernel in (found[2], found[4], found[6])]
    attention = block.self_attn
    pairs = [(block.norm1.weight, found[0]), (block.norm1.bias, found[1])]
    pairs += [(attention.in_proj_weight, np.concatenate(kernels))]
    pairs += [(attention.in_proj_bias, np.concatenate([found[i].ravel() for i in (3, 5, 7)]))]
    pairs += [(attention.out_proj.weight, found[8].reshape(width, width).T)]
    pairs += [(attention.out_proj.bias, found[9])]
    pairs += [(block.norm2.weight, found[10]), (block.norm2.bias, found[11])]
    pairs += [(block.linear1.weight, found[12].T), (block.linear1.bias, found[13])]
    pairs += [(block.linear2.weight, found[14].T), (block.linear2.bias, found[15])]
    for parameter, values in pairs:
        _put(parameter, values)
    return block


class Encoder(nn.Module):
    """Blocks; the mean over time goes into a dense layer."""

    def __init__(self, settings, weights):
        super().__init__()
        *within, kernel, bias = weights
        self.blocks = Blocks(iter(within), len(within) // 16, settings["heads"])
        self.dense = _linear(kernel, bias)

    def forward(self, x):
        """Returns logits (n, classes) for x (n, time, width)."""
        return self.dense(self.blocks(x).mean(1))


class Writer(nn.Module):
    """Chapter 6's language model: tokens (n, time) → logits (n, time, symbols)."""

    def __init__(self, settings, weights, longest: int = 512):
        super().__init__()
        table, *within, scale, shift, kernel, bias = weights
        self.table = nn.Embedding.from_pretrained(_tensor(table), freeze=False)
        self.blocks = Blocks(iter(within), settings["blocks"], settings["heads"])
        self.norm = nn.LayerNorm(table.shape[1], eps=1e-6)
        _put(self.norm.weight, scale)
        _put(self.norm.bias, shift)
        self.logits = _linear(kernel, bias)
        self.register_buffer("waves", _waves(longest, table.shape[1]))

    def forward(self, tokens):
        """Returns logits (n, time, symbols) for tokens (n, time)."""
        time, width = tokens.shape[1], self.table.weight.shape[1]
        x = self.table(tokens) * width**0.5 + self.waves[:time]
        mask = nn.Transformer.generate_square_subsequent_mask(time, device=tokens.device)
        return self.logits(self.norm(self.blocks(x, mask)))


def _waves(longest: int, width: int) -> torch.Tensor:
    """The waves of the places, as in chapter 6: first the sines, then the cosines."""
    angles = torch.arange(longest)[:, None] / 10_000 ** (torch.arange(0, width, 2) / width)
    return torch.cat((angles.sin(), angles.cos()), -1)


MAKERS = {
    "Bidirectional": _both_ways,
    "Conv2D": _convolution,
    "Dense": _dense,
    "Dropout": _dropout,
    "Embedding": _embedding,
    "Encoder": lambda settings, weights: [Encoder(settings, weights)],
    "Flatten": lambda *_: [nn.Flatten()],
    "GRU": _one_way("GRU"),
    "LSTM": _one_way("LSTM"),
    "Masking": lambda *_: [Masking()],
    "MaxPooling2D": lambda settings, _: [nn.MaxPool2d(settings["pool_size"])],
    "RandomFlipAndShift": _augmentation,
    "Writer": lambda settings, weights: [Writer(settings, weights)],
}


# --- training -------------------------------------------------------------------------------


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


class Steps:
    """The optimizer as Keras has it: the same steps, the same learning rate at each."""

    def __init__(self, settings: dict, parameters):
        self.settings, self.done = settings, 0
        self.parameters = list(parameters)
        if settings["kind"] == "SGD":
            momentum = settings["momentum"]
            self.optimizer = torch.optim.SGD(self.parameters, lr=0.0, momentum=momentum)
        else:
            betas = settings["beta_1"], settings["beta_2"]
            self.optimizer = torch.optim.Adam(self.parameters, lr=0.0, betas=betas)

    def take(self) -> None:
        """Takes a step along the gradients."""
        group, settings = self.optimizer.param_groups[0], self.settings
        rates = settings["rates"]
        group["lr"] = rates[min(self.done, len(rates) - 1)]
        self.done += 1
        if "eps" in group:  # Keras' Adam adds ε before the correction of the bias
            correction = (1 - settings["beta_2"] ** self.done) ** 0.5
            group["eps"] = settings["epsilon"] / correction
        if settings["global_clipnorm"]:
            clip_grad_norm_(self.parameters, settings["global_clipnorm"])
        self.optimizer.step()


def _cross_entropy(logits, y):
    return nn.functional.cross_entropy(logits.flatten(0, -2), y.flatten())


LOSSES = {
    "MeanSquaredError": nn.functional.mse_loss,
    "SparseCategoricalCrossentropy": _cross_entropy,
    "BinaryCrossentropy": lambda logits, y: nn.functional.binary_cross_entropy_with_logits(
        logits[:, 0], y
    ),
}


class Side:
    """PyTorch in the articles' style: eager, batch by batch; or with `torch.compile`."""

    def __init__(self, job: dict, compiled: bool = False):
        """Takes the job as `jobs.described` gives it."""
        self.data, self.batch_size = job["data"], job["batch_size"]
        pictures = self.data[0].ndim == 4
        self.model = Network(job["layers"], pictures).to(_device())
        self.loss_fn = LOSSES[job["loss"]]
        self.steps = Steps(job["optimizer"], self.model.parameters())
        self.forward = torch.compile(self.model) if compiled else self.model

    def set_chance(self, on: bool) -> None:
        """Lets dropout and augmentation act, or not."""
        self.model.train(on)

    def train(self, x, y, epochs, shuffle, done):
        """Trains for so many epochs, and calls `done` after each."""
        x, y = self._tensors(x, y)
        for _ in range(epochs):
            order = torch.randperm(len(x)) if shuffle else torch.arange(len(x))
            for rows in order.to(x.device).split(self.batch_size):
                self.steps.optimizer.zero_grad()
                loss = self.loss_fn(self.forward(x[rows]), y[rows])
                loss.backward()
                self.steps.take()
            if x.device.type == "cuda":
                torch.cuda.synchronize()
            done()

    def _tensors(self, x, y):
        x, y = torch.from_numpy(x).to(_device()), torch.from_numpy(y).to(_device())
        if self.loss_fn is _cross_entropy:
            return x, y.long()
        return x, y.float()

    def threads(self):
        """Returns how many threads one operation may take."""
        return torch.get_num_threads()

    def outputs(self, x):
        """Returns the model's outputs (examples, …) for x."""
        with torch.no_grad():
            return self.forward(torch.from_numpy(x).to(_device())).cpu().numpy()


def take_part(job, compiled, settings, connection) -> None:
    """Takes part as the process of one side; see kerasbook.bench.turns."""
    if settings["device"] == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    elif settings["device"] == "gpu" and not torch.cuda.is_available():
        connection.send({"error": "this build of torch sees no GPU"})
        return
    torch.backends.cuda.matmul.allow_tf32 = True  # as TensorFlow does
    turns.take(lambda: Side(job, compiled), connection)
