"""The mistakes of the articles' PyTorch code, as they stand there. Needs torch.

Each function returns what the wrong code gives, or raises what it raises. `kerasbook.pages.errata`
shows it, or what was recorded of it.
"""

import torch
from torch import nn


def wrong_1():
    """Nine pictures of 32 × 32 after two poolings, with the article's `view`."""
    rows = torch.zeros(9, 64, 8, 8).view(-1, 64 * 6 * 6)
    return f"{len(rows)} rows for 9 pictures"


def wrong_6():
    """Pictures that nobody flattened, into the first layer."""
    return nn.Linear(784, 128)(torch.zeros(64, 1, 28, 28)).shape


def wrong_7():
    """The vocabulary's size as the width, and eight heads."""
    return nn.TransformerEncoderLayer(d_model=100, nhead=8)


def wrong_8():
    """The number of heads once more, in the place of the number of layers."""
    layer = nn.TransformerEncoderLayer(64, 8, 256)
    return f"{len(nn.TransformerEncoder(layer, 8, enable_nested_tensor=False).layers)} layers"


def wrong_10():
    """The decoder called with (target, mask, memory)."""
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(16, 2), 1)
    target, memory = torch.zeros(5, 2, 16), torch.zeros(7, 2, 16)  # (time, n, width)
    return decoder(target, torch.zeros(5, 5), memory).shape


def wrong_18():
    """An LSTM with zero states made by hand, and without."""
    torch.manual_seed(0)
    lstm, x = nn.LSTM(100, 128, 2, batch_first=True), torch.randn(2, 5, 100)
    zeros = torch.zeros(2, 2, 128)
    difference = (lstm(x, (zeros, zeros))[0] - lstm(x)[0]).abs().max()
    return f"largest difference {difference:.1g}"


def wrong_20():
    """A softmax into `CrossEntropyLoss`, for a network that is sure and right."""
    logits = torch.tensor([[1000.0] + [0.0] * 9])
    loss = nn.CrossEntropyLoss()(torch.softmax(logits, dim=1), torch.tensor([0]))
    return f"loss {loss:.3f}"
