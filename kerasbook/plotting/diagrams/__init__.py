"""Diagrams of networks, a file for each chapter; every function returns the Axes."""

from kerasbook.plotting.diagrams.chapter2 import plot_backpropagation
from kerasbook.plotting.diagrams.chapter3 import (
    plot_network,
    plot_numbers,
    plot_places,
    plot_residual_block,
    plot_window,
)
from kerasbook.plotting.diagrams.chapter4 import plot_gru_cell, plot_unrolled
from kerasbook.plotting.diagrams.chapter5 import plot_lstm_cell
from kerasbook.plotting.diagrams.chapter6 import (
    plot_attention_steps,
    plot_encoder_decoder,
    plot_heads,
    plot_residual_stream,
)
from kerasbook.plotting.diagrams.chapter9 import (
    plot_ring,
    plot_shares,
    plot_timetable,
    plot_towers,
)

__all__ = [
    "plot_attention_steps",
    "plot_backpropagation",
    "plot_encoder_decoder",
    "plot_gru_cell",
    "plot_heads",
    "plot_lstm_cell",
    "plot_network",
    "plot_numbers",
    "plot_places",
    "plot_residual_block",
    "plot_residual_stream",
    "plot_ring",
    "plot_shares",
    "plot_timetable",
    "plot_towers",
    "plot_unrolled",
    "plot_window",
]
