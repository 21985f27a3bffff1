"""Makes tests/captum.json: what Captum says of a small network, for tests/test_chapter10.py.

    python -m venv captum && captum/bin/pip install numpy torch==2.13.0 captum==0.9.0
    captum/bin/python tools/make_captum_figures.py

The network is drawn from a seed, so that the file holds Captum's answers and no weights.
"""

import json
from pathlib import Path

import numpy as np

FIGURES = Path(__file__).resolve().parent.parent / "tests" / "captum.json"
SHAPES = (3, 3, 1, 3), (3,), (3, 3, 3, 4), (4,), (4, 3), (3,)


def drawn():
    """Returns pictures (2, 8, 8, 1), and the weights in Keras' order, of 64 bits."""
    random = np.random.default_rng(10)
    pictures = random.normal(size=(2, 8, 8, 1))
    return pictures, [random.normal(0, 0.5, shape) for shape in SHAPES]


def torch_network(weights):
    """Returns the network: two convolutions with ReLU, the mean over the places, a dense layer."""
    import torch
    from torch import nn

    kernel, bias, second, second_bias, last, last_bias = map(torch.tensor, weights)
    first, next_one, dense = nn.Conv2d(1, 3, 3), nn.Conv2d(3, 4, 3), nn.Linear(4, 3)
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = nn.Sequential(first, nn.ReLU(), next_one, nn.ReLU(), pool, dense).double()
    values = [kernel.permute(3, 2, 0, 1), bias, second.permute(3, 2, 0, 1), second_bias]
    with torch.no_grad():
        for own, value in zip(network.parameters(), [*values, last.T, last_bias], strict=True):
            own.copy_(value)
    return network


def main():
    """Asks Captum, and writes the file."""
    import captum
    import torch
    from captum import attr

    pictures, weights = drawn()
    network, x = torch_network(weights), torch.tensor(pictures).permute(0, 3, 1, 2)
    kinds, black = torch.tensor([2, 0]), float(pictures.min())
    window = {"sliding_window_shapes": (1, 4, 4), "strides": (1, 2, 2)}
    path = {"n_steps": 50, "method": "riemann_middle"}
    found = {
        "saliency": attr.Saliency(network).attribute(x, target=kinds),
        "integrated gradients": attr.IntegratedGradients(network).attribute(
            x, baselines=black, target=kinds, **path
        ),
        "occlusion": attr.Occlusion(network).attribute(x, target=kinds, baselines=black, **window),
        "Grad-CAM": attr.LayerGradCam(network, network[3]).attribute(
            x, target=kinds, relu_attributions=True
        ),
        "guided backpropagation": attr.GuidedBackprop(network).attribute(x, target=kinds).abs(),
    }
    figures = {name: each.detach().numpy()[:, 0].tolist() for name, each in found.items()}
    versions = {"captum": captum.__version__, "torch": torch.__version__.partition("+")[0]}
    FIGURES.write_text(json.dumps({"versions": versions, "figures": figures}) + "\n")


if __name__ == "__main__":
    main()
