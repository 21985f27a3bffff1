# %% [markdown]
r"""
# Notation

Which letter is what? This page lists the symbols that recur, with their shapes, and the words that
have one meaning in this book and several elsewhere. A symbol that one section alone uses is told
there. Shapes are written as NumPy and Keras have them: (n, d) is n rows of d numbers, and the first
axis is always the examples. Pictures are (n, height, width, channels), sequences (n, time, d).
"""

# %% [markdown]
r"""
## Symbols

| symbol | is | shape | from chapter |
|---|---|---|---|
| $n$ | number of examples, or of those in a batch | a number | 1 |
| $d$ | number of features; in chapter 6 the depth, the numbers in a query or key | a number | 1 |
| $d_m$ | width: the numbers in a token of a Transformer | a number | 6 |
| $x$, $X$ | inputs; the capital is all rows as a matrix | (n, d), and as below | 1 |
| $y$ | targets: what is true | (n, 1) for numbers, (n,) for class numbers | 1 |
| $\hat y$ | predictions, in code `y_pred` | as $y$ | 1 |
| $w$ | weights of one unit | (d, 1) | 1 |
| $W$ | weights of a layer, its kernel | (inputs, units) | 2 |
| $b$ | bias | (1,), (units,) | 1 |
| $L$ | the loss that is minimised, a mean over examples | a number | 1 |
| $\ell$ | the loss of one example | a number | 2 |
| $\partial L/\partial w$ | gradient of the loss for $w$; a section may call it $g$ | as $w$ | 1 |
| $\eta$ | learning rate | a number | 1 |
| $\beta$, $v$ | momentum, a share of the last step, and the velocity | a number; as $w$ | 1 |
| $\lambda$ | curvature, an eigenvalue of the loss' second derivatives | a number | 1 |
| $\kappa$ | condition number, the largest curvature over the smallest | a number | 1 |
| $\alpha$ | strength of the penalty on large weights (ridge, L2) | a number | 1 |
| $z$ | scores of the last layer, the logits | (n, classes) | 2 |
| $p$ | probability | (n,), (n, K) | 2 |
| $K$ | number of classes; in chapter 6, a capital matrix, the keys | a number; (keys, depth) | 2 |
| $\sigma(z)$ | sigmoid, $1/(1+e^{-z})$ | as $z$ | 2 |
| $s_l$ | scores of layer $l$, its weighted sums before the activation | (n, units) | 2 |
| $a_l$ | output of layer $l$, after the activation | (n, units) | 2 |
| $\delta_l$ | gradient of the loss for the scores of layer $l$ | (n, units) | 2 |
| $\odot$ | product number by number | | 2 |
| $[\dots]$ | 1 if what stands inside is true, else 0 | | 2 |
| $\mu$, $\sigma^2$ | mean and variance | a number, or one for each feature | 6 |
| $\epsilon$ | a small number that keeps a division sound | a number | 2 |
| $h_t$ | state after step $t$ | (n, units) | 4 |
| $U$ | recurrent kernel, which multiplies the state | (units, units) | 4 |
| $r$, $z$, $\tilde h$ | the GRU's reset gate, update gate and candidate | (n, units) | 4 |
| $i$, $f$, $o$, $g$, $c_t$ | the LSTM's three gates, candidate and cell | (n, units) | 5 |
| $Q$, $K$, $V$ | queries, keys and values | (queries, depth), (keys, depth), (keys, width) | 6 |
| $q$, $s$, $q_0$ | whole number, scale, zero point | as what is quantised; numbers | 8 |
| $T$ | the temperature that logits are divided by | a number | 2 |
| $S$ | loss scale | a number | 9 |

Some letters have two meanings, because their fields write them so: $z$ (scores; the GRU's update
gate, in chapter 4 alone), $\sigma$ (the sigmoid with an argument, else a standard deviation), $K$
(classes; keys), $d$ (features; depth), $g$ (a gradient; the LSTM's candidate), $i$ (an index; the
input gate), $f$ (the number of a filter, in chapter 3; the forget gate), $h$ (a state; a height in
chapter 3, a head in chapter 6).
"""

# %% [markdown]
r"""
## Words

| word | means here | not |
|---|---|---|
| part | training, validation or test part of a data set | a share, a piece of code |
| epoch | one pass over the training part | |
| step | one update of the weights; in a sequence, one place in time | |
| kernel | the weights that multiply a layer's input, as Keras names them | a program on a GPU |
| logit | the number before a sigmoid or softmax; also called its score | |
| score | a weighted sum before its activation; of a model, what `main` reports | |
| state | what a recurrent layer hands from step to step | the LSTM's cell, which is a second one |
| activation | the function behind a weighted sum, also called a bend | |
| gate | numbers between 0 and 1 that others are multiplied by | |
| batch | the rows of one step | all rows: that is *batch descent*, in chapter 1 |
"""
