# %% [markdown]
"""
# Chapter 4. Gated recurrent units

(in work)
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter4`): train, save, end. The cells below are for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter4")

# %%
import tensorflow as tf


# %%
def simple_rnn_step(x, h, weights, activation=tf.tanh):
    """Returns the next state (n, units), for x (n, inputs) and the state h (n, units).

    weights: kernel (inputs, units), recurrent kernel (units, units), bias (units,), as in Keras.
    """
    kernel, recurrent_kernel, bias = weights
    return activation(x @ kernel + h @ recurrent_kernel + bias)


# %%
def scan(step, x, initial_state, mask=None, reverse=False):
    """Returns the states after every step (n, time, units), and the last one.

    step: `step(x_t, state) -> state`, for x_t (n, inputs); a state is a tensor (n, units) or a
        tuple of them, of which the first goes into the outputs.
    x: (n, time, inputs).  mask: (n, time), False where nothing is to be read: the state stays.
    reverse: read from the last step to the first; the outputs stand at their own time.
    """
    state, outputs = initial_state, [None] * x.shape[1]
    inputs = tf.unstack(x, axis=1)
    for t in reversed(range(len(inputs))) if reverse else range(len(inputs)):
        new_state = step(inputs[t], state)
        state = new_state if mask is None else choose(mask[:, t], new_state, state)
        outputs[t] = tf.nest.flatten(state)[0]
    return tf.stack(outputs, axis=1), state


def choose(read, new_state, state):
    """Returns the new state in the rows where `read` (n,) is true, else the old one."""
    read = tf.cast(read, tf.bool)[:, tf.newaxis]
    return tf.nest.map_structure(lambda new, old: tf.where(read, new, old), new_state, state)


# %%
def gru_gates(x, h, weights, reset_after=True):
    """Returns the gates z and r, and the candidate, each (n, units)."""
    kernel, recurrent_kernel, bias = weights
    bias_x, bias_h = tf.unstack(bias) if reset_after else (bias, tf.zeros_like(bias))
    x_z, x_r, x_c = tf.split(x @ kernel + bias_x, 3, axis=-1)
    u_z, u_r, u_c = tf.split(recurrent_kernel, 3, axis=-1)
    b_z, b_r, b_c = tf.split(bias_h, 3)
    z = tf.sigmoid(x_z + h @ u_z + b_z)
    r = tf.sigmoid(x_r + h @ u_r + b_r)
    reset = r * (h @ u_c + b_c) if reset_after else (r * h) @ u_c
    return z, r, tf.tanh(x_c + reset)


def gru_step(x, h, weights, reset_after=True, z_keeps=True):
    """Returns the next state (n, units), for x (n, inputs) and the state h (n, units).

    weights: kernel (inputs, 3 · units), recurrent kernel (units, 3 · units) and bias, as in Keras:
        in thirds for z, r and the candidate; bias (2, 3 · units), or (3 · units,) for
        reset_after=False.
    z_keeps: True is Keras' z h + (1 − z) h̃, False the article's (1 − z) h + z h̃.
    """
    z, _, candidate = gru_gates(x, h, weights, reset_after)
    return z * h + (1 - z) * candidate if z_keeps else (1 - z) * h + z * candidate


# %%
def main():
    """In work."""
    raise NotImplementedError
