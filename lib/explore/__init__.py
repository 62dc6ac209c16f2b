"""How does one look at single images and models of a study in JupyterLab?"""

from lib.explore import tour
from lib.explore.explorer import Explorer

__all__ = ["Explorer", "tour"]
