"""A causal mask for the last queries only."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=6,
    minutes=5,
    difficulty=1,
    points=1,
    hints=[
        "At which place does the first query stand, if the last query stands at the last place?",
        "Make the queries' places a column and the keys' places a row, and compare: a key may be "
        "seen if it is not behind the query.",
        "The queries stand at keys − queries, …, keys − 1. "
        "np.arange(keys - queries, keys)[:, np.newaxis] >= np.arange(keys).",
    ],
)


@exercise.stub
def cached_mask(queries, keys):
    """The causal mask where only the last tokens ask.

    A model that writes keeps the keys of all tokens so far. When new tokens come, only they ask:
    there are `keys` places, and the queries are the last `queries` of them. A query sees its own
    place and all before it.

    Practises: chapter 6, "The causal mask".

    Args:
        queries: 1 or more.
        keys: `queries` or more.

    Returns:
        (queries, keys) bool array; True means: may look.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    yield Case("two queries, five keys", {"queries": 2, "keys": 5})


@exercise.hidden
def drawn(random):
    for queries, more in ((1, 4), (3, 3), (4, 0), (2, 7), (5, 1), (1, 0)):
        inputs = {"queries": queries, "keys": queries + more}
        yield Case(f"{queries} queries, {queries + more} keys", inputs)


@exercise.reference
def solution(queries, keys):
    return np.arange(keys - queries, keys)[:, np.newaxis] >= np.arange(keys)


@exercise.right
def last_rows_of_the_triangle(queries, keys):
    return np.tri(keys, dtype=bool)[keys - queries :]


@exercise.right
def with_loops(queries, keys):
    return np.array([[j <= keys - queries + i for j in range(keys)] for i in range(queries)])


@exercise.right
def with_tensorflow(queries, keys):
    places = tf.range(keys)
    return (places[keys - queries :, tf.newaxis] >= places).numpy()


@exercise.wrong(
    "Your queries are the first places, not the last: the first query sees one key only. It "
    "stands at keys − queries."
)
def first_queries(queries, keys):
    return np.tri(queries, keys, dtype=bool)


@exercise.wrong("Each query sees one key too many, the one behind it: that is the future.")
def one_ahead(queries, keys):
    return np.tri(queries, keys, k=keys - queries + 1, dtype=bool)


@exercise.wrong("A query does not see its own place here; it may: the key is *not behind* it.")
def itself_hidden(queries, keys):
    return np.tri(queries, keys, k=keys - queries - 1, dtype=bool)


@exercise.wrong("Every query sees everything, the later queries' places too. Those are its future.")
def everything(queries, keys):
    return np.ones((queries, keys), bool)


@exercise.wrong("Your mask is the opposite: True where a query must not look.")
def inverted(queries, keys):
    return np.arange(keys - queries, keys)[:, np.newaxis] < np.arange(keys)


@exercise.wrong("Queries and keys have changed places: a row is a query, a column a key.")
def transposed(queries, keys):
    return (np.arange(keys - queries, keys)[:, np.newaxis] >= np.arange(keys)).T


@exercise.wrong()
def only_the_new(queries, keys):
    mask = np.zeros((queries, keys), bool)
    mask[:, keys - queries :] = np.tri(queries, dtype=bool)
    return mask


exercise.mistake("square", old="[keys - queries :]", new="", of=last_rows_of_the_triangle)


@exercise.wrong()
def numbers(queries, keys):
    return np.tri(queries, keys, k=keys - queries)
