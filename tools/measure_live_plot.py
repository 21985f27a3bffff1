"""What the live plot of a notebook costs: `python tools/measure_live_plot.py`, some 90 s.

Trains chapter 2's network in a Jupyter kernel, in turns with the plot and without, and prints the
seconds of each run and the share of the time in which the plot was drawn and sent.
"""

import re
import statistics

from jupyter_client.manager import start_new_kernel

SETUP = """
import time
from kerasbook import progress
from kerasbook.chapter2_training import fit, load_fashion, loss_fn, make_model
import keras
train = load_fashion().train
spent = [0.0]
draw = progress._Plot.draw
def timed(self):
    started = time.perf_counter()
    draw(self)
    spent[0] += time.perf_counter() - started
progress._Plot.draw = timed
def seconds(kind):
    keras.utils.set_random_seed(0)
    model, spent[0] = make_model(train.x.shape[1:], 10), 0.0
    started = time.perf_counter()
    fit(model, tuple(train), loss_fn=loss_fn, optimizer=keras.optimizers.Adam(), epochs=40,
        batch_size=64, progress=kind)
    return time.perf_counter() - started
seconds("none")
"""


def main():
    """Prints the seconds of five pairs of runs, their medians, and the share of drawing."""
    manager, client = start_new_kernel()
    try:
        text = run(client, SETUP)
        runs = {"bar": [], "none": []}
        shares = []
        for _ in range(5):
            for kind, found in runs.items():
                text = run(client, f"print('seconds', seconds({kind!r}), spent[0])")
                total, drawing = map(float, re.findall(r"seconds (\S+) (\S+)", text)[0])
                found.append(total)
                if kind == "bar":
                    shares.append(drawing / total)
                print(f"{kind:5} {total:6.2f} s, drawing {drawing:.3f} s")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    with_plot, without = (statistics.median(runs[kind]) for kind in ("bar", "none"))
    print(f"medians: {with_plot:.2f} s with the plot, {without:.2f} s without")
    print(f"drawing and sending: at most {max(shares):.2%} of a run")


def run(client, code: str) -> str:
    """Returns what the code printed; its errors end this program."""
    printed = []

    def keep(message):
        content = message["content"]
        printed.append(content.get("text", "") + "\n".join(content.get("traceback", [])))

    # As JupyterLab does: somebody is there to be asked.
    reply = client.execute_interactive(
        code, allow_stdin=True, stdin_hook=lambda message: None, output_hook=keep, timeout=300
    )
    if reply["content"]["status"] != "ok":
        raise SystemExit("".join(printed))
    return "".join(printed)


if __name__ == "__main__":
    main()
