"""Arrays to pictures: what a network sees, what it makes of it, and where it goes wrong.

Every function takes NumPy arrays (or what `numpy.asarray` accepts) and returns a picture, uint8
`[height, width, 3]`. Equal arguments give equal bytes, and the size of a picture depends on the
shapes and the class names, never on the values, so that TensorBoard's slider moves through
pictures that lie exactly on each other. Pictures have a white background, readable in TensorBoard's
light and dark theme, and are narrow, because its cards show them at 200-600 px.

Only Pillow and NumPy draw here: a picture costs milliseconds, so that there can be one an epoch.
"""

from src.figures.canvas import Picture
from src.figures.curves import curves
from src.figures.examples import overlay, reconstructions, segmentation, worst_mistakes
from src.figures.files import save_mask, save_png
from src.figures.maps import activations, kernels
from src.figures.projections import projections
from src.figures.scores import class_bars, confusion_matrix
from src.figures.space import grid, plane

__all__ = [
    "Picture",
    "activations",
    "class_bars",
    "confusion_matrix",
    "curves",
    "grid",
    "kernels",
    "overlay",
    "plane",
    "projections",
    "reconstructions",
    "save_mask",
    "save_png",
    "segmentation",
    "worst_mistakes",
]
