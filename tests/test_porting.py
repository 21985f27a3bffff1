"""Weights from PyTorch: names and shapes are checked, and outputs and gradients agree."""

import importlib.util

from kerasbook.chapter1 import make_model as make_linear
from kerasbook.chapter2_deep_network import make_model as make_deep
from kerasbook.chapter6 import sinusoids
from kerasbook.chapter6_encoder_decoder import LETTERS, make_pronouncer
from kerasbook.pages import porting

import keras
import numpy as np
import pytest
import tensorflow as tf

# Other numbers in the text, and what they are.
ELSEWHERE = {
    "0.001": "",
    "0.01": "",
    "0.05": "",
    "0.004": "defaults of the two libraries",
}

DEEP = {"fc1.weight": (6, 4), "fc1.bias": (6,), "fc2.weight": (3, 6), "fc2.bias": (3,)}


def small_deep():
    return make_deep((2, 2, 1), 3, hidden=(6,))


def port(arrays):
    porting.port_weights_dense(small_deep(), arrays, names=("fc1", "fc2"))


def test_a_dense_layer_is_turned():
    arrays, model = (
        porting.random_state({"linear.weight": (1, 3), "linear.bias": (1,)}),
        make_linear(3),
    )
    porting.port_weights_dense(model, arrays, names=("linear",))
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    expected = x @ arrays["linear.weight"].T + arrays["linear.bias"]
    np.testing.assert_allclose(model(x), expected, atol=1e-6)


def test_a_name_that_is_missing_is_named_with_those_there_are():
    arrays = porting.random_state(DEEP)
    arrays["last.weight"] = arrays.pop("fc2.weight")
    with pytest.raises(porting.PortError, match=r"no 'fc2.weight'.*last.weight"):
        port(arrays)


def test_another_shape_is_told_with_the_shape_that_is_needed():
    arrays = porting.random_state(DEEP | {"fc1.weight": (4, 6)})
    with pytest.raises(porting.PortError, match=r"'fc1.weight' has the shape \(4, 6\).*\(6, 4\)"):
        port(arrays)


def test_an_array_that_is_left_over_is_an_error_and_changes_nothing():
    model, arrays = small_deep(), porting.random_state(DEEP | {"fc3.bias": (3,)})
    before = model.get_weights()
    with pytest.raises(porting.PortError, match=r"no place for fc3.bias"):
        porting.port_weights_dense(model, arrays, names=("fc1", "fc2"))
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_number_of_layers_is_told():
    with pytest.raises(porting.PortError, match="2 dense layers, and names has 3"):
        porting.port_weights_dense(small_deep(), porting.random_state(DEEP))
    with pytest.raises(porting.PortError, match="4 layers with weights, names has 2"):
        porting.port_weights_cnn(porting.make_colour_cnn(), {}, names=("conv1", "fc1"))


def test_a_transformer_that_normalises_before_is_refused():
    with pytest.raises(porting.PortError, match="post_norm=True"):
        porting.port_weights_transformer(make_pronouncer(8, heads=2, blocks=1), {})


def test_pytorchs_formula_of_the_gru_is_keras_layer_after_the_port():
    assert porting.compare_gru() < 1e-6


def test_the_three_conventions_in_numbers():
    assert porting.moving_mean(0.9) == pytest.approx(1 - 0.9**5, abs=1e-6)
    assert porting.moving_mean(0.9) != pytest.approx(porting.moving_mean(0.1), abs=0.1)
    assert porting.normalised_size(1e-3) < 0.5 < porting.normalised_size(1e-5) < 1
    variable = tf.Variable([0.0])
    keras.optimizers.Adam(1.0).apply([tf.constant([1e-7])], [variable])
    expected = porting.first_adam_step(1e-7, 1e-7, corrected_first=False)
    assert -float(variable[0]) == pytest.approx(expected, rel=1e-3)


# --- beside PyTorch -----------------------------------------------------------------------

if importlib.util.find_spec("torch"):
    import torch
    from torch import nn

    torch.set_num_threads(1)  # its waiting threads would keep TensorFlow from the cores

    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2, self.fc3 = (
                nn.Linear(784, 128),
                nn.Linear(128, 64),
                nn.Linear(64, 10),
            )

        def forward(self, x):
            x = torch.relu(self.fc2(torch.relu(self.fc1(torch.flatten(x, 1)))))
            return self.fc3(x)

    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(1, 1)

        def forward(self, x):
            return self.linear(x)

    class Cnn(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 32, 3, padding=1)
            self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
            self.fc1, self.fc2 = nn.Linear(64 * 8 * 8, 128), nn.Linear(128, 10)

        def forward(self, x):
            x = x.permute(0, 3, 1, 2)
            for convolution in (self.conv1, self.conv2):
                x = nn.functional.max_pool2d(torch.relu(convolution(x)), 2)
            return self.fc2(torch.relu(self.fc1(torch.flatten(x, 1))))

    class Gru(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(10_000, 64)
            self.gru = nn.GRU(64, 64, batch_first=True)
            self.fc1, self.fc2 = nn.Linear(64, 64), nn.Linear(64, 10)

        def forward(self, x):
            states, _ = self.gru(self.embedding(x.long()))
            return torch.softmax(self.fc2(torch.relu(self.fc1(states[:, -1]))), dim=1)

    class Lstm(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(100, 128, 2, batch_first=True)
            self.fc = nn.Linear(128, 10)

        def forward(self, x):
            return self.fc(self.lstm(x)[0][:, -1])

    class Transformer(nn.Module):
        """The article's, put right: embeddings, positions, a causal mask, an output layer."""

        def __init__(self, sources, targets, width=64, heads=8, hidden=256, blocks=6):
            super().__init__()
            options = {"dropout": 0.0, "batch_first": True}
            self.source = nn.Embedding(sources, width)
            self.target = nn.Embedding(targets, width)
            encoder = nn.TransformerEncoderLayer(width, heads, hidden, **options)
            decoder = nn.TransformerDecoderLayer(width, heads, hidden, **options)
            self.encoder = nn.TransformerEncoder(encoder, blocks, enable_nested_tensor=False)
            self.decoder = nn.TransformerDecoder(decoder, blocks)
            self.output = nn.Linear(width, targets)

        def embed(self, table, tokens):
            width = table.embedding_dim
            waves = sinusoids(tf.range(tokens.shape[1]), width).numpy()
            return table(tokens.long()) * width**0.5 + torch.tensor(waves)  # a copy

        def forward(self, x):
            source, target = x
            memory = self.encoder(self.embed(self.source, source))
            hidden = torch.ones(target.shape[1], target.shape[1]).triu(1).bool()  # True hides
            y = self.decoder(self.embed(self.target, target), memory, tgt_mask=hidden)
            return self.output(y)


def make_small_transformer():
    return make_pronouncer(64, heads=8, blocks=6, sounds=12, post_norm=True)


def outputs_and_gradients_in_torch(model, x):
    inputs = [torch.from_numpy(part) for part in x] if isinstance(x, list) else torch.from_numpy(x)
    outputs = model(inputs)
    (outputs**2).sum().div(2 * len(outputs)).backward()
    gradients = {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}
    for name in gradients:  # both biases of an LSTM have the whole gradient of their sum
        if name.startswith("lstm.bias_hh"):
            gradients[name] = np.zeros_like(gradients[name])
    state = {name: array.numpy() for name, array in model.state_dict().items()}
    return outputs.detach().numpy(), gradients, state


def outputs_and_gradients_in_keras(model, x):
    with tf.GradientTape() as tape:
        outputs = model(x)
        loss = tf.reduce_sum(outputs**2) / (2 * len(outputs))
    gradients = tape.gradient(loss, model.trainable_variables)
    return outputs.numpy(), [tf.convert_to_tensor(gradient).numpy() for gradient in gradients]


def pictures(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def tokens(highest, *shape):
    return np.random.default_rng(0).integers(1, highest, shape).astype("int32")


CASES = {
    "Linear": (
        lambda: make_linear(1),
        lambda model, state: porting.port_weights_dense(model, state, names=("linear",)),
        lambda: pictures(7, 1),
    ),
    "Deep": (
        lambda: make_deep((28, 28, 1), 10),
        porting.port_weights_dense,
        lambda: pictures(5, 28, 28, 1),
    ),
    "Cnn": (porting.make_colour_cnn, porting.port_weights_cnn, lambda: pictures(3, 32, 32, 3)),
    "Gru": (
        lambda: porting.make_article_model(return_sequences=False),
        porting.port_weights_gru,
        lambda: tokens(10_000, 3, 9),
    ),
    "Lstm": (porting.make_article_lstm, porting.port_weights_lstm, lambda: pictures(3, 8, 100)),
    "Transformer": (
        make_small_transformer,
        porting.port_weights_transformer,
        lambda: [tokens(len(LETTERS), 3, 7), tokens(12, 3, 5)],
    ),
}


@pytest.mark.peer
@pytest.mark.parametrize("name", CASES)
def test_outputs_and_gradients_of_the_articles_models_agree(name):
    torch = pytest.importorskip("torch")
    make, port_weights, inputs = CASES[name]
    torch.manual_seed(0)
    x = inputs()
    sizes = (len(LETTERS), 12) if name == "Transformer" else ()
    theirs = globals()[name](*sizes)
    expected, gradients, state = outputs_and_gradients_in_torch(theirs, x)
    model = make()
    port_weights(model, state)
    if name == "Transformer":
        source, target = x
        x = [source, np.ones_like(source), target, np.ones_like(target)]
    outputs, found = outputs_and_gradients_in_keras(model, x)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    port_weights(model, gradients)  # gradients change their layout as weights do
    for variable, ours, gradient in zip(
        model.trainable_variables, found, model.get_weights(), strict=True
    ):
        scale = max(1.0, np.abs(gradient).max())
        np.testing.assert_allclose(ours, gradient, atol=1e-5 * scale, err_msg=variable.path)
