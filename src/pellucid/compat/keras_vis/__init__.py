"""keras-vis 0.5 (github.com/raghakot/keras-vis) for PyTorch.

Arrays are as keras-vis has them, `[row, column, channel]`. A layer is named by its path, or by its number among the
layers that hold no others, in the order in which torch prints them; -1 is the last.
"""

from pellucid.compat.keras_vis.activation import visualize_activation
from pellucid.compat.keras_vis.modifiers import Jitter
from pellucid.compat.keras_vis.saliency import visualize_cam, visualize_saliency

__all__ = ["Jitter", "visualize_activation", "visualize_cam", "visualize_saliency"]
