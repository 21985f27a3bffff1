"""Pictures of data, training runs and models: every function draws on Axes and returns them.

Nothing is shown and no global setting of Matplotlib is touched. A notebook displays the figure by
itself; a script passes what it got to `save`. Without `ax` or `axes` a new figure is made, 6.6
inches wide where the content allows, so that on a printed page its 9-point text stays 9 points.

The colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart. Lines
also differ in style or marker, and colour maps in lightness, so that a grey print can be read.
"""

from kerasbook.plotting.attention import plot_attention, plot_positions
from kerasbook.plotting.diagrams import (
    plot_attention_steps,
    plot_backpropagation,
    plot_encoder_decoder,
    plot_gru_cell,
    plot_heads,
    plot_lstm_cell,
    plot_network,
    plot_numbers,
    plot_places,
    plot_residual_block,
    plot_residual_stream,
    plot_ring,
    plot_shares,
    plot_timetable,
    plot_towers,
    plot_unrolled,
    plot_window,
)
from kerasbook.plotting.files import save
from kerasbook.plotting.history import plot_bands, plot_history, plot_lines
from kerasbook.plotting.images import plot_feature_maps, plot_images, plot_weights
from kerasbook.plotting.lines import label_ends, plot_first_lines, plot_fit
from kerasbook.plotting.predictions import plot_calibration, plot_confusion, plot_predictions
from kerasbook.plotting.ranges import plot_gradient_sizes, plot_ranges
from kerasbook.plotting.sequences import (
    plot_gates,
    plot_gradient_norms,
    plot_state_changes,
    plot_words,
)
from kerasbook.plotting.series import plot_ladder, plot_series
from kerasbook.plotting.surface import plot_loss_surface

__all__ = [
    "label_ends",
    "plot_attention",
    "plot_attention_steps",
    "plot_backpropagation",
    "plot_bands",
    "plot_calibration",
    "plot_confusion",
    "plot_encoder_decoder",
    "plot_feature_maps",
    "plot_first_lines",
    "plot_fit",
    "plot_gates",
    "plot_gradient_norms",
    "plot_gradient_sizes",
    "plot_gru_cell",
    "plot_heads",
    "plot_history",
    "plot_images",
    "plot_ladder",
    "plot_lines",
    "plot_loss_surface",
    "plot_lstm_cell",
    "plot_network",
    "plot_numbers",
    "plot_places",
    "plot_positions",
    "plot_predictions",
    "plot_ranges",
    "plot_residual_block",
    "plot_residual_stream",
    "plot_ring",
    "plot_series",
    "plot_shares",
    "plot_state_changes",
    "plot_timetable",
    "plot_towers",
    "plot_unrolled",
    "plot_weights",
    "plot_window",
    "plot_words",
    "save",
]
