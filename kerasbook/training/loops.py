"""Many steps in one call: what makes the book's loop quick.

A training step is small; calling it from Python costs more than a small model's arithmetic. So
a `tf.while_loop` repeats it inside one compiled function, on data that lie on the device, and
Python looks in a few times a second: to show progress, to notice a NaN, to hear Ctrl-C.
"""

import math
import time

from kerasbook.training.checks import ArgumentError, metrics_of_one_output, scalar_metric

import keras
import tensorflow as tf

SECONDS_PER_CALL = 0.2  # a compiled call should take about this long;
SECONDS_AT_MOST = 1.0  # with a dataset, whose batches may suddenly take longer, at most this

# Every run compiles its loop afresh, once or twice. TensorFlow takes that for a mistake and warns.
tf.get_logger().addFilter(lambda record: "tf.function retracing" not in record.getMessage())


class NonFinite(Exception):
    """A loss was NaN or infinite: at `.step` of the epoch (None: unknown), after `.last_loss`."""

    def __init__(self, step: int | None, last_loss: float):
        super().__init__(f"the loss of step {step} is not finite")
        self.step, self.last_loss = step, last_loss


class _Scores:
    """The running means of an epoch: the loss, weighted by batch size, and the metrics."""

    def __init__(self, metrics):
        self.loss = keras.metrics.Mean(name="loss")
        self.metrics = list(metrics)

    def reset(self):
        for metric in (self.loss, *self.metrics):
            metric.reset_state()

    def update(self, loss, x, y, y_pred):
        rows = tf.shape(tf.nest.flatten(x)[0])[0]
        self.loss.update_state(loss, sample_weight=rows)
        metrics_of_one_output(self.metrics, y_pred)
        for metric in self.metrics:
            metric.update_state(y, y_pred)

    def stacked(self):
        results = [metric.result() for metric in (self.loss, *self.metrics)]
        for metric, result in zip(self.metrics, results[1:], strict=True):
            scalar_metric(metric, result)
        return tf.stack([tf.cast(result, tf.float32) for result in results])

    def named(self, results: list[float]) -> dict[str, float]:
        names = ["loss", *(metric.name for metric in self.metrics)]
        return dict(zip(names, results, strict=True))


class Loop:
    """Repeats `step` over all batches of the data; what both kinds of data have in common."""

    def __init__(self, step, metrics, training: bool):
        self.step, self.training = step, training
        self.scores = _Scores(metrics)
        self.steps_per_call = 1
        self.last_loss = math.nan
        self.more = True  # whether the data went on after the last call

    def variables(self):
        """Returns the scores so far, as variables."""
        return [v for each in (self.scores.loss, *self.scores.metrics) for v in each.variables]

    def start(self, request):
        """Returns the state before the first step: its number, the last finite loss, all finite?"""
        first, _, last_loss, fresh = tf.unstack(request)
        tf.cond(fresh > 0, lambda: (self.scores.reset(), 0)[1], lambda: 0)
        return tf.cast(first, tf.int32), tf.cast(last_loss, tf.float32), tf.constant(True)

    def answer(self, number, last_loss, finite, more=True):
        """Returns the state after the last step, and the scores, as one row of numbers."""
        state = [tf.cast(value, tf.float64) for value in (number, last_loss, finite, more)]
        return tf.concat([state, tf.cast(self.scores.stacked(), tf.float64)], axis=0)

    def take_step(self, batch, number, last_loss, **share):
        """Takes one step inside a compiled loop; returns the state after it."""
        x, y, *sample_weight = batch
        loss, y_pred = self.step(x, y, *sample_weight, **share)
        loss = tf.cast(loss, tf.float32)
        self.scores.update(loss, x, y, y_pred)
        finite = tf.math.is_finite(loss) | (not self.training)  # a score may be infinite
        return number + 1, tf.where(finite, loss, last_loss), finite

    def call(self, function, *data, first: int, stop: int, fresh: bool):
        """Runs one compiled call; returns (steps done, scores). Sets the length of the next."""
        started = time.perf_counter()
        # One row of numbers each way: converting five values costs as much as a small step.
        request = tf.constant([first, stop, self.last_loss, fresh], tf.float64)
        number, self.last_loss, finite, self.more, *scores = (
            function(*data, request).numpy().tolist()
        )
        number = int(number)
        seconds = time.perf_counter() - started
        if not finite:
            raise NonFinite(number, self.last_loss)
        if number - first == self.steps_per_call and seconds < SECONDS_PER_CALL / 2:
            self.steps_per_call *= 2
        elif seconds > SECONDS_PER_CALL * 2:
            self.steps_per_call = max(1, self.steps_per_call // 2)
        return number, self.scores.named(scores)


class ArrayLoop(Loop):
    """Data in memory: they stay on the device, and every batch is gathered there."""

    def __init__(self, step, metrics, arrays, batch_size: int, jit: bool, training: bool):
        super().__init__(step, metrics, training)
        self.arrays, self.batch_size = arrays, batch_size
        self.examples = len(tf.nest.flatten(arrays)[0])
        self.full, self.rest = divmod(self.examples, batch_size)
        self.runs = self.make_runs(jit)

    def make_runs(self, jit: bool) -> list[tuple]:
        """Returns compiled functions, each with the step before which it stops.

        Without XLA one function takes batches of any size, the short last one too: compiling a
        second one would take as long as the first.
        """
        if self.full and self.rest and not jit:
            return [(self.make_run(None, False), self.full + 1)]
        return self.make_runs_of_one_size(jit)

    def make_runs_of_one_size(self, jit: bool) -> list[tuple]:
        """Returns what `make_runs` does, with a function of its own for the short last batch: XLA
        compiles for one size, and without XLA dropout would draw other numbers.
        """
        runs = [(self.make_run(self.batch_size, jit), self.full)] if self.full else []
        if self.rest:
            runs.append((self.make_run(self.rest, jit), self.full + 1))
        return runs

    def make_run(self, rows: int | None, jit: bool):
        """Returns the compiled function that takes steps first … stop − 1 on batches of so many
        rows; None: of as many as are left for the last one.
        """

        def run(arrays, order, request):
            stop = tf.cast(request[1], tf.int32)

            def go_on(number, last_loss, finite):
                return (number < stop) & finite

            def body(number, last_loss, finite):
                begin = number * self.batch_size
                size = tf.minimum(self.batch_size, self.examples - begin) if rows is None else rows
                chosen = tf.slice(order, [begin], [size])
                return self.take_rows(arrays, chosen, number, last_loss)

            return self.answer(*tf.while_loop(go_on, body, self.start(request)))

        # The arrays are an argument: what a graph captures lives as long as TensorFlow keeps it.
        compiled = tf.function(run, jit_compile=jit, autograph=False)
        arrays = tf.nest.map_structure(tf.TensorSpec.from_tensor, self.arrays)
        specs = tf.TensorSpec([self.examples], tf.int32), tf.TensorSpec([4], tf.float64)
        # A concrete function: no search for the right trace at each call.
        return compiled.get_concrete_function(arrays, *specs)

    def take_rows(self, arrays, chosen, number, last_loss):
        """Takes one step on the chosen rows."""
        return self.take_step(gather(arrays, chosen), number, last_loss)

    def run_epoch(self, order=None, first: int = 0):
        """Yields (steps done, scores) in one pass over the dataset, which brings its own order.

        A run that goes on within an epoch has taken the steps before `first`.
        """
        order = tf.range(self.examples) if order is None else tf.convert_to_tensor(order)
        number = first
        for run, end in self.runs:
            while number < end:
                stop = min(number + self.steps_per_call, end)
                number, scores = self.call_on(run, order, number, stop)
                yield number, scores

    def call_on(self, run, order, first: int, stop: int):
        """Runs the steps first … stop − 1 of an epoch in one compiled call."""
        return self.call(run, self.arrays, order, first=first, stop=stop, fresh=first == 0)


class DatasetLoop(Loop):
    """A `tf.data.Dataset` of batches, for data that do not fit in memory."""

    def __init__(self, step, metrics, dataset, jit: bool, training: bool):
        super().__init__(step, metrics, training)
        self.dataset = dataset
        if jit:  # the step alone: XLA cannot read from a dataset
            self.take_step = tf.function(self.take_step, jit_compile=True, autograph=False)
        self.run_compiled = tf.function(self.run, autograph=False)

    def run(self, iterator, request):
        """Takes steps until `request` says stop, the dataset ends, or its batches take long."""
        stop, started = tf.cast(request[1], tf.int32), tf.timestamp()

        def go_on(number, last_loss, finite, more):
            in_time = tf.timestamp() - started < SECONDS_AT_MOST
            return (number < stop) & finite & more & in_time

        def body(number, last_loss, finite, more):
            batch = iterator.get_next_as_optional()
            return tf.cond(
                batch.has_value(),
                lambda: (*self.take_step(batch.get_value(), number, last_loss), True),
                lambda: (number, last_loss, finite, False),
            )

        state = (*self.start(request), tf.constant(True))
        return self.answer(*tf.while_loop(go_on, body, state))

    def run_epoch(self, order=None, first: int = 0):
        """Yields (steps done, scores) in one pass over the dataset, which brings its own order."""
        iterator = iter(self.dataset.skip(first) if first else self.dataset)
        number, self.more = first, True
        while self.more:
            request = {"first": number, "stop": number + self.steps_per_call, "fresh": number == 0}
            number, scores = self.call(self.run_compiled, iterator, **request)
            if number == 0:
                raise ArgumentError("the dataset gave no batch: is it empty, or used up?")
            if number == first:  # a run that goes on after the last step
                return
            yield number, scores


def gather(arrays, rows):
    """Returns these rows of every array."""
    return tf.nest.map_structure(lambda array: tf.gather(array, rows), arrays)


def make_loop(step, metrics, data, batch_size: int, jit: bool = False, training: bool = False):
    """Returns the loop that takes `step` over `data`: arrays in a tuple, or a `tf.data.Dataset`."""
    if isinstance(data, tf.data.Dataset):
        return DatasetLoop(step, metrics, data, jit, training)
    return ArrayLoop(step, metrics, data, batch_size, jit, training)
