// A network of the playground as a Keras program: it draws the same picture, and can go on training.
globalThis.kerasbook ??= {};

kerasbook.asKeras = (network, points, { optimiser, rate, wrongSign = false, steps = 0 }) => {
  const { layers, activation, bias, doubleSoftmax } = network;
  const digits = (v) => String(Number(v.toPrecision(9)));
  const list = (values) => `[${Array.from(values, digits).join(", ")}]`;
  const table = (values, width) => {
    const rows = [];
    for (let at = 0; at < values.length; at += width) rows.push(list(values.slice(at, at + width)));
    return `[${rows.join(", ")}]`;
  };
  const wrapped = (text, indent) => text.replace(/(.{60,90}?,) /g, `$1\n${indent}`);
  const weights = layers.flatMap((layer) => [table(layer.kernel, layer.units), ...(bias ? [list(layer.bias)] : [])]);
  const options = (bias ? "" : ", use_bias=False");
  const dense = layers.map(({ units }, at) => {
    const end = at === layers.length - 1 ? (doubleSoftmax ? ', activation="softmax"' : "") : activation === "linear" ? "" : `, activation="${activation}"`;
    return `            layers.Dense(${units}${end}${options}),`;
  });
  const optimizers = {
    SGD: `keras.optimizers.SGD(${rate})`, momentum: `keras.optimizers.SGD(${rate}, momentum=0.9)`,
    RMSProp: `keras.optimizers.RMSprop(${rate})`, Adam: `keras.optimizers.Adam(${rate})`,
  };
  const mistakes = [
    bias ? "" : "the layers have no bias",
    doubleSoftmax ? "the model ends in a softmax, and the loss takes another" : "",
    wrongSign ? "the steps go uphill" : "",
  ].filter(Boolean);
  return `"""A network from kerasbook's playground, after ${steps} steps, as a Keras program.

\`python network.py\` draws the same picture as the page, into network.png; \`train(model)\` goes on.
${mistakes.length ? `It has mistakes on purpose: ${mistakes.join("; ")}.\n` : ""}"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

POINTS = np.array(
    ${wrapped(table(points.x.flat(), 2), "     ")},
    "float32",
)
LABELS = np.array(
    ${wrapped(list(points.y), "     ")},
    "int32",
)
WEIGHTS = [
${weights.map((text) => `    ${wrapped(text, "     ")},`).join("\n")}
]


def make_model():
    """Returns the network: points (n, 2) → ${doubleSoftmax ? "probabilities" : "logits"} (n, ${layers.at(-1).units})."""
    model = keras.Sequential(
        [
            keras.Input((2,)),
${dense.join("\n")}
        ]
    )
    model.set_weights([np.array(weight, "float32") for weight in WEIGHTS])
    return model


def surface(model, side=61):
    """Returns (side, side, classes): the probabilities over the plane, from the bottom left."""
    places = np.linspace(-3, 3, side, dtype="float32")
    grid = np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2)
    ${doubleSoftmax ? "p = model(grid)  # its last layer is the softmax" : "p = tf.nn.softmax(model(grid))"}
    return np.reshape(p, (side, side, -1))


def loss_of(model):
    """Returns the mean cross-entropy over the points."""
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, model(POINTS))
    return tf.reduce_mean(losses)


def train(model, steps=100):
    """Trains on all points at once; returns the loss of each step."""
    optimizer, losses = ${optimizers[optimiser]}, []
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = loss_of(model)
        gradients = tape.gradient(loss, model.trainable_variables)
${wrongSign ? "        gradients = [-gradient for gradient in gradients]  # the mistake\n" : ""}        optimizer.apply(gradients, model.trainable_variables)
        losses.append(float(loss))
    return losses


def draw(model, file="network.png"):
    """Draws the likeliest class, how likely it is, and the points."""
    import matplotlib.pyplot as plt

    p = surface(model)
    colours = np.array([[0.79, 0.47, 0.23], [0.25, 0.5, 0.71], [0.3, 0.62, 0.42]])
    plt.imshow(p @ colours[: p.shape[-1]], origin="lower", extent=(-3, 3, -3, 3))
    for label, marker in zip(range(p.shape[-1]), "o^s"):
        x, y = POINTS[LABELS == label].T
        plt.scatter(x, y, color=colours[label], marker=marker, edgecolors="white")
    plt.savefig(file)


if __name__ == "__main__":
    model = make_model()
    print(f"loss {float(loss_of(model)):.4f}")
    draw(model)
`;
};
