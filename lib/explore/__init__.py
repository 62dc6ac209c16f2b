"""How does one look at single images and models of a study in JupyterLab?"""

from lib.explore.widgets import Explorer

__all__ = ["Explorer"]
