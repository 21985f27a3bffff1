"""Formulas in NumPy: those that no chapter writes out, and a second source for those it does.

They are written for the eye, not for speed, and unlike the chapters' where that is possible: a
recurrent network reads one sequence at a time, attention answers one query at a time.
"""

import numpy as np


def sigmoid(x):
    """Returns 1 / (1 + e^(−x))."""
    return 1 / (1 + np.exp(-x))


# --- chapter 3 ----------------------------------------------------------------------------


def spread(size, rate):
    """Returns S (rate · (size − 1) + 1, size): S @ a puts rate − 1 zeros between the entries."""
    matrix = np.zeros((rate * (size - 1) + 1, size))
    matrix[::rate] = np.eye(size)
    return matrix


def grouped(convolution, x, kernel, bias, groups):
    """Returns the maps (n, rows, columns, filters) of filters that see their own channels only.

    kernel: (kh, kw, channels / groups, filters): the first filters belong to the first channels.
    """
    parts = [np.split(part, groups, axis=-1) for part in (x, kernel, bias)]
    return np.concatenate([convolution(*each) for each in zip(*parts, strict=True)], axis=-1)


def pool(x, size, function):
    """Returns function(window) for all windows of each channel: (n, rows, columns, channels)."""
    n, rows, columns, channels = len(x), x.shape[1] // size, x.shape[2] // size, x.shape[3]
    windows = x[:, : rows * size, : columns * size]
    windows = windows.reshape(n, rows, size, columns, size, channels)
    return function(windows, axis=(2, 4))


def statistics(x):
    """Returns mean and variance (channels,) of x (…, channels): over all places and examples."""
    flat = x.reshape(-1, x.shape[-1])
    return flat.mean(axis=0), ((flat - flat.mean(axis=0)) ** 2).mean(axis=0)


def batch_norm(x, scale, shift, mean, variance, epsilon):
    """Returns x (…, channels) with this mean and variance taken out; in training, the batch's."""
    return scale * (x - mean) / np.sqrt(variance + epsilon) + shift


def batch_norm_gradients(x, scale, g, epsilon):
    """Returns the gradients for x, scale and shift in training, from g, that for the outputs.

    Mean and variance depend on x too: so the mean of g, and its share along x, are taken out.
    """
    mean, variance = statistics(x)
    root = np.sqrt(variance + epsilon)
    normal, places = (x - mean) / root, tuple(range(x.ndim - 1))
    for_scale, for_shift = (g * normal).sum(axis=places), g.sum(axis=places)
    count = x.size // x.shape[-1]
    return scale / root * (g - for_shift / count - normal * for_scale / count), for_scale, for_shift


def moved(old, new, momentum):
    """Returns the next moving average: the larger `momentum`, the slower."""
    return momentum * old + (1 - momentum) * new


# --- chapters 4 and 5 ---------------------------------------------------------------------


def embed(numbers, table):
    """Returns the rows (…, width) of the table (words, width)."""
    return table[numbers]


def embed_gradient(numbers, table, g):
    """Returns the gradient for the table: a word that is met twice is counted twice."""
    gradient = np.zeros_like(table)
    np.add.at(gradient, numbers, g)
    return gradient


def simple_rnn_step(x, h, kernel, recurrent_kernel, bias):
    """Returns the next state (units,), for one x (inputs,) and h (units,)."""
    return np.tanh(kernel.T @ x + recurrent_kernel.T @ h + bias)


def gru_step(x, h, kernel, recurrent_kernel, bias, reset_after=True):
    """Returns the next state (units,); the weights are Keras', in thirds z, r, candidate."""
    w_z, w_r, w_c = np.split(kernel.T, 3)
    u_z, u_r, u_c = np.split(recurrent_kernel.T, 3)
    (b_z, b_r, b_c), (d_z, d_r, d_c) = (
        np.split(part, 3) for part in (bias if reset_after else (bias, 0 * bias))
    )
    z = sigmoid(w_z @ x + b_z + u_z @ h + d_z)
    r = sigmoid(w_r @ x + b_r + u_r @ h + d_r)
    from_state = r * (u_c @ h + d_c) if reset_after else u_c @ (r * h)
    return z * h + (1 - z) * np.tanh(w_c @ x + b_c + from_state)


def lstm_step(x, state, kernel, recurrent_kernel, bias):
    """Returns the next (h, c), both (units,); the weights are Keras', in quarters i, f, g, o."""
    h, c = state
    i, f, g, o = np.split(kernel.T @ x + recurrent_kernel.T @ h + bias, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return np.stack([sigmoid(o) * np.tanh(c), c])


def read(step, x, state, mask=None, reverse=False):
    """Returns the states (n, time, …), one sequence after the other; state: (n, …)."""
    states = []
    for row, h in enumerate(state):
        times = range(x.shape[1])
        seen = {}
        for t in reversed(times) if reverse else times:
            if mask is None or mask[row, t]:
                h = step(x[row, t], h)
            seen[t] = h
        states.append([seen[t] for t in times])
    return np.array(states)


# --- chapter 6 ----------------------------------------------------------------------------


def multi_head_attention(query, key, value, weights, mask=None):
    """Returns (n, queries, width), query by query; weights: those of Keras' MultiHeadAttention."""
    of_query, query_bias, of_key, key_bias, of_value, value_bias, kernel, bias = weights
    outputs = np.zeros((*query.shape[:2], len(bias)), query.dtype) + bias
    for n, q, head in np.ndindex(*query.shape[:2], of_query.shape[1]):
        asked = query[n, q] @ of_query[:, head] + query_bias[head]
        keys = key[n] @ of_key[:, head] + key_bias[head]
        values = value[n] @ of_value[:, head] + value_bias[head]
        scores = np.array([asked @ each for each in keys]) / np.sqrt(len(asked))
        allowed = np.ones(len(keys), bool) if mask is None else mask[n, q]
        shares = np.where(allowed, np.exp(scores - scores[allowed].max()), 0)
        outputs[n, q] += (shares / shares.sum()) @ values @ kernel[head]
    return outputs


def layer_norm(x, scale, shift, epsilon):
    """Returns x (…, width), token by token: mean and variance of its own numbers taken out."""
    tokens = [
        scale * (token - token.mean()) / np.sqrt(token.var() + epsilon) + shift
        for token in x.reshape(-1, x.shape[-1])
    ]
    return np.reshape(tokens, x.shape)
