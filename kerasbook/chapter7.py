# %% [markdown]
"""
# Chapter 7. Pretraining and fine-tuning

Draft.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter7`): train, save, end. The cells below are for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter7")

# %% tags=["hide-input"]
import json
from pathlib import Path

from kerasbook import chapter6
from kerasbook.data import DataError, safetensors, wordpieces
from kerasbook.training import fit

# kerasbook comes first: it chooses Keras' backend.
import keras
import numpy as np
import tensorflow as tf
from keras import layers


# %%
def gelu(x):
    """Returns x · Φ(x), where Φ is the share of the normal distribution below x."""
    return x * (1 + tf.math.erf(x / 2**0.5)) / 2


def gelu_tanh(x):
    """Returns the approximation of `gelu` by a tanh, which older code has."""
    return x * (1 + tf.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))) / 2


# %%
class BertBlock(chapter6.PostNormBlock):
    """Chapter 6's block with its norms after the sums, gelu for ReLU, and BERT's ε."""

    def __init__(
        self, width, heads, hidden=None, dropout=0.0, epsilon=1e-12, exact=True, **options
    ):
        """Takes what `Block` takes; hidden: units of the dense part; exact: which gelu."""
        layers.Layer.__init__(self, **options)  # only `call` is that of chapter 6
        self.attention = chapter6.Attention(width, heads, name="attention")
        self.drop = layers.Dropout(dropout)
        self.norm_1 = layers.LayerNormalization(epsilon=epsilon, name="norm_1")
        self.norm_2 = layers.LayerNormalization(epsilon=epsilon, name="norm_2")
        first = layers.Dense(hidden or 4 * width, activation=gelu if exact else gelu_tanh)
        self.feed_forward = keras.Sequential([first, layers.Dense(width)], name="feed_forward")


# %%
def small_numbers():
    """Returns the first weights of BERT's tables: normal, deviation 0.02, cut at two of it."""
    return keras.initializers.TruncatedNormal(stddev=0.02)


class Embeddings(layers.Layer):
    """What is known of a token before anybody has looked around: what, where, in which segment."""

    def __init__(self, words, width, places=64, segments=2, dropout=0.0, epsilon=1e-12, **options):
        """Takes how many pieces, places and segments there are."""
        super().__init__(**options)
        self.words, self.places, self.segments = (
            layers.Embedding(count, width, small_numbers(), name=name)
            for name, count in (("words", words), ("places", places), ("segments", segments))
        )
        self.norm = layers.LayerNormalization(epsilon=epsilon, name="norm")
        self.drop = layers.Dropout(dropout)

    def call(self, pieces, segments=None, training=False):
        """Returns (n, time, width), for pieces and segments (n, time); without, all are 0."""
        segments = tf.zeros_like(pieces) if segments is None else segments
        places = tf.range(tf.shape(pieces)[1])
        x = self.words(pieces) + self.places(places) + self.segments(segments)
        return self.drop(self.norm(x), training=training)


# %%
class Bert(layers.Layer):
    """BERT's encoder: pieces (n, time) → (n, time, width); piece 0 is padding."""

    def __init__(
        self, words, width=128, heads=2, blocks=2, hidden=None, places=64, segments=2,
        dropout=0.1, epsilon=1e-12, exact=True, **options,
    ):  # fmt: skip
        """Takes the sizes of its tables and of its blocks; exact: which gelu."""
        super().__init__(**options)
        tables = words, width, places, segments, dropout, epsilon
        self.embeddings = Embeddings(*tables, name="embeddings")
        parts = width, heads, hidden, dropout, epsilon, exact
        self.sizes = {
            "words": words, "width": width, "heads": heads, "blocks": blocks,
            "hidden": hidden or 4 * width, "places": places, "segments": segments,
            "epsilon": epsilon, "exact": exact,
        }  # fmt: skip
        self.blocks = [BertBlock(*parts, name=f"block_{n}") for n in range(blocks)]

    def build_from_config(self, config):
        """Lets the first call build a loaded encoder, as it builds a new one."""

    def call(self, pieces, segments=None, training=False):
        """Returns (n, time, width); nobody looks at padding."""
        mask = (pieces != 0)[:, tf.newaxis]  # (n, 1, time): for all queries
        x = self.embeddings(pieces, segments, training=training)
        for block in self.blocks:
            x = block(x, mask, training=training)
        return x


# %%
class WordHead(layers.Layer):
    """Which piece stands here? (…, width) → logits (…, words), by the table of the embedding."""

    def __init__(self, words, width, epsilon=1e-12, exact=True, **options):
        """Takes how many pieces there are, and how wide their vectors."""
        super().__init__(**options)
        self.dense = layers.Dense(width, gelu if exact else gelu_tanh, name="dense")
        self.norm = layers.LayerNormalization(epsilon=epsilon, name="norm")
        self.bias = self.add_weight((words,), initializer="zeros", name="bias")

    def call(self, x, table):
        """Returns the logits, for the table (words, width)."""
        return tf.matmul(self.norm(self.dense(x)), table, transpose_b=True) + self.bias


# %%
class MaskedBert(keras.Model):
    """BERT that fills in blanks: pieces (n, time) → logits (n, time, words)."""

    def __init__(self, words, width=128, epsilon=1e-12, exact=True, **options):
        """Takes what `Bert` takes."""
        super().__init__(name="masked_bert")
        sizes = {"epsilon": epsilon, "exact": exact}
        self.bert = Bert(words, width, **sizes, **options, name="bert")
        self.head = WordHead(words, width, **sizes, name="head")

    def call(self, pieces, segments=None, training=False):
        """Returns the logits at all places."""
        return self.head(self.bert(pieces, segments, training=training), self.table)

    def at(self, places, pieces, segments=None, training=False):
        """Returns logits (chosen, words) at the chosen places of the pieces, counted in one row."""
        x = self.bert(pieces, segments, training=training)
        chosen = tf.gather(tf.reshape(x, (-1, x.shape[-1])), places)
        return self.head(chosen, self.table)

    @property
    def table(self):
        """The words' vectors (words, width), which both ends of the model use."""
        return self.bert.embeddings.words.embeddings


# %%
def cover(pieces, random, words, specials=(0, 1, 2, 3, 4), mask=4, share=0.15):
    """Returns pieces (n, time) with some covered, the places chosen (chosen,), the answers there.

    Of all pieces that are not special a share is chosen. Of these 80 % become [MASK], 10 % any
    piece, and 10 % stay. Places are counted through all rows.
    """
    chosen = (random.random(pieces.shape) < share) & ~np.isin(pieces, specials)
    lot = random.random(pieces.shape)
    ordinary = np.setdiff1d(np.arange(words), specials)
    covered = np.where(chosen & (lot < 0.8), mask, pieces)
    covered = np.where(chosen & (lot >= 0.9), random.choice(ordinary, pieces.shape), covered)
    places = np.flatnonzero(chosen)
    return covered.astype("int32"), places.astype("int32"), pieces.ravel()[places]


# %%
def make_covered_step(model, optimizer):
    """Returns a step: covered pieces (n, time), places and answers (chosen,) → the mean loss."""
    rows, row = tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None,), tf.int32)

    @tf.function(input_signature=[rows, row, row])
    def step(pieces, places, answers):
        with tf.GradientTape() as tape:
            logits = model.at(places, pieces, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(answers, logits)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    return step


# %%
def mean_of(x, pieces):
    """Returns the mean (n, width) of x (n, time, width) over the places that are no padding."""
    kept = tf.cast(pieces != 0, x.dtype)[..., tf.newaxis]  # (n, time, 1)
    return tf.reduce_sum(kept * x, axis=1) / tf.reduce_sum(kept, axis=1)


class SentenceHead(layers.Layer):
    """Which class? (n, time, width) → logits (n, classes), from the first place or from all."""

    def __init__(self, classes, width, mean=False, dropout=0.1, **options):
        """Takes how many classes there are; mean: of all places, not a dense layer on the first."""
        super().__init__(**options)
        self.mean = mean
        self.pooler = None if mean else layers.Dense(width, "tanh", name="pooler")
        self.drop = layers.Dropout(dropout)
        self.logits = layers.Dense(classes, kernel_initializer=small_numbers(), name="logits")

    def build_from_config(self, config):
        """Lets the first call build a loaded head, as it builds a new one."""

    def call(self, x, pieces, training=False):
        """Returns the logits."""
        x = mean_of(x, pieces) if self.mean else self.pooler(x[:, 0])
        return self.logits(self.drop(x, training=training))


# %%
def make_classifier(words, classes=2, width=128, mean=False, dropout=0.1, **options):
    """Returns a classifier: pieces (n, time) → logits (n, classes); `options` are those of Bert."""
    pieces = keras.Input((None,), dtype="int32", name="pieces")
    bert = Bert(words, width, dropout=dropout, **options, name="bert")
    head = SentenceHead(classes, width, mean, dropout, name="head")
    return keras.Model(pieces, head(bert(pieces), pieces), name="bert_classifier")


# %%
def parts_of(bert) -> dict:
    """Returns the layers of an encoder by the names that they have in a file."""
    tables = bert.embeddings
    parts = {
        "embeddings.word_embeddings": tables.words,
        "embeddings.position_embeddings": tables.places,
        "embeddings.token_type_embeddings": tables.segments,
        "embeddings.LayerNorm": tables.norm,
    }
    for number, block in enumerate(bert.blocks):
        wide, narrow = block.feed_forward.layers
        inside = {
            "attention.self.query": block.attention.query,
            "attention.self.key": block.attention.key,
            "attention.self.value": block.attention.value,
            "attention.output.dense": block.attention.projection,
            "attention.output.LayerNorm": block.norm_1,
            "intermediate.dense": wide,
            "output.dense": narrow,
            "output.LayerNorm": block.norm_2,
        }
        parts |= {f"encoder.layer.{number}.{name}": each for name, each in inside.items()}
    return {f"bert.{name}": part for name, part in parts.items()}


# %%
def all_parts(model) -> dict:
    """Returns the layers of a whole model, encoder and head, by their names in a file."""
    if isinstance(model, MaskedBert):
        head = "cls.predictions.transform"
        own = {f"{head}.dense": model.head.dense, f"{head}.LayerNorm": model.head.norm}
        return parts_of(model.bert) | own
    head = model.get_layer("head")
    own = {"bert.pooler.dense": head.pooler, "classifier": head.logits}
    return parts_of(model.get_layer("bert")) | {n: each for n, each in own.items() if each}


# %%
def variables_of(layer) -> dict:
    """Returns the arrays of a layer by the names that they have in a file."""
    if isinstance(layer, layers.Embedding):
        return {"weight": layer.embeddings}
    if isinstance(layer, layers.LayerNormalization):
        return {"weight": layer.gamma, "bias": layer.beta}
    return {"weight": layer.kernel, "bias": layer.bias}


def turned(layer, name) -> bool:
    """Returns whether the file has the array of a layer turned: (units, inputs)."""
    return name == "weight" and isinstance(layer, layers.Dense)


# %%
def to_arrays(model) -> dict[str, np.ndarray]:
    """Returns the weights of a model that has been called, as `transformers` names them."""
    arrays = {}
    for part, layer in all_parts(model).items():
        for name, variable in variables_of(layer).items():
            array = variable.numpy()
            arrays[f"{part}.{name}"] = array.T.copy() if turned(layer, name) else array
    if isinstance(model, MaskedBert):
        arrays["cls.predictions.bias"] = model.head.bias.numpy()
    return arrays


def from_arrays(model, arrays, only="") -> None:
    """Gives a model that has been called the arrays of a file, or those whose names begin so.

    Raises:
        DataError: one is missing, or has another shape.
    """
    wanted = {}
    for part, layer in all_parts(model).items():
        for name, variable in variables_of(layer).items():
            wanted[f"{part}.{name}"] = variable, turned(layer, name)
    if isinstance(model, MaskedBert):
        wanted["cls.predictions.bias"] = model.head.bias, False
    for name, (variable, is_turned) in wanted.items():
        if name.startswith(only):
            array = found(arrays, name)
            array = array.T if is_turned else array
            if array.shape != variable.shape:
                raise DataError(
                    f"{name} is {array.shape}, but config.json makes it {tuple(variable.shape)}: "
                    "take both files from one model"
                )
            variable.assign(array)


# %%
def found(arrays, name) -> np.ndarray:
    """Returns the array of that name, with or without `bert.`, with LayerNorm's old names."""
    old = name.replace("LayerNorm.weight", "LayerNorm.gamma")
    old = old.replace("LayerNorm.bias", "LayerNorm.beta")
    for each in (name, name.removeprefix("bert."), old, old.removeprefix("bert.")):
        if each in arrays:
            return arrays[each]
    raise DataError(f"there is no {name} among the weights: is it a BERT, and of this task?")


# %%
SIZES = {  # of `Bert`, and what config.json calls them
    "words": "vocab_size", "width": "hidden_size", "heads": "num_attention_heads",
    "blocks": "num_hidden_layers", "hidden": "intermediate_size",
    "places": "max_position_embeddings", "segments": "type_vocab_size",
    "epsilon": "layer_norm_eps",
}  # fmt: skip


def read_config(path) -> dict:
    """Returns the options of `Bert` that a config.json means.

    Raises:
        DataError: it cannot be read, or is not that of a BERT.
    """
    try:
        config = json.loads(Path(path).read_text(encoding="utf-8"))
        options = {name: config[theirs] for name, theirs in SIZES.items()}
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} is not the config.json of a BERT: {error!r}") from None
    kinds = {"gelu": True, "gelu_new": False, "gelu_pytorch_tanh": False}
    if config.get("model_type", "bert") != "bert" or config.get("hidden_act", "gelu") not in kinds:
        raise DataError(
            f"{path} is of a {config.get('model_type')} with {config.get('hidden_act')}; only "
            "BERT with gelu is read"
        )
    return options | {"exact": kinds[config.get("hidden_act", "gelu")]}


# %%
def write_bert(folder, model, pieces, classes=None) -> None:
    """Writes a model into a folder as `transformers` reads it: config, weights, word pieces."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    bert = model.bert if isinstance(model, MaskedBert) else model.get_layer("bert")
    kind = "BertForMaskedLM" if isinstance(model, MaskedBert) else "BertForSequenceClassification"
    config = {theirs: bert.sizes[name] for name, theirs in SIZES.items()}
    config |= {"model_type": "bert", "architectures": [kind], "pad_token_id": 0}
    config["hidden_act"] = "gelu" if bert.sizes["exact"] else "gelu_new"
    if classes:
        config["id2label"] = dict(enumerate(classes))
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    safetensors.write(folder / "model.safetensors", to_arrays(model), {"format": "pt"})


def read_bert(folder) -> tuple[dict, dict, tuple]:
    """Returns options of `Bert`, arrays and pieces of a folder as `transformers` writes it.

    Raises:
        DataError: a file is missing or damaged, or they are not of one BERT.
    """
    folder = Path(folder)
    options = read_config(folder / "config.json")
    arrays, _ = safetensors.read(folder / "model.safetensors")
    try:
        pieces = wordpieces.read_pieces((folder / "vocab.txt").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{folder / 'vocab.txt'} cannot be read: {error}") from None
    if len(pieces) != options["words"]:
        raise DataError(
            f"{folder}: vocab.txt has {len(pieces):,} pieces, config.json {options['words']:,}"
        )
    return options, arrays, pieces


# %%
def masked_bert(options, arrays) -> MaskedBert:
    """Returns a model that fills in blanks, of what `read_bert` returns."""
    model = MaskedBert(**options)
    model(np.zeros((1, 2), "int32"))
    from_arrays(model, arrays)
    return model


# %%
def in_bytes(arrays) -> dict[str, np.ndarray]:
    """Returns the arrays with every table and kernel as int8 and a scale for each of its rows."""
    small = {}
    for name, array in arrays.items():
        if array.ndim < 2:
            small[name] = array
        else:
            scales = 127 / np.maximum(np.abs(array).max(axis=1, keepdims=True), 1e-7)
            small[name] = np.round(scales * array).astype("int8")
            small[f"{name}.scale"] = scales.astype("float32")
    return small


# %%
def from_bytes(small) -> dict[str, np.ndarray]:
    """Returns the arrays that `in_bytes` has made small, in 32 bits."""
    scales = {name: array for name, array in small.items() if name.endswith(".scale")}
    arrays = {name: array for name, array in small.items() if name not in scales}
    return {
        name: array / scales[f"{name}.scale"] if f"{name}.scale" in scales else array
        for name, array in arrays.items()
    }


# %%
def start_from(options, arrays, classes=2, mean=False, dropout=0.1) -> keras.Model:
    """Returns a classifier whose encoder has these weights, and whose head has none yet."""
    model = make_classifier(classes=classes, mean=mean, dropout=dropout, **options)
    model(np.zeros((1, 3), "int32"))
    if arrays is not None:
        from_arrays(model, arrays, only="bert.e")  # embeddings and encoder
    return model


# %%
def fine_tune(
    model, data, epochs=3, batch_size=32, learning_rate=5e-4, frozen=False, seed=0, **fit_options
):
    """Returns the History of training a classifier on (x, y); frozen: its head alone."""
    model.get_layer("bert").trainable = not frozen
    schedule = chapter6.make_schedule(learning_rate, len(data[1]), batch_size, epochs)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=0.01, global_clipnorm=1.0)
    options = {"epochs": epochs, "batch_size": batch_size, "seed": seed, "progress": "none"}
    options |= {"loss_fn": loss_fn, "optimizer": optimizer}
    return fit(model, tuple(data), **options | fit_options)
