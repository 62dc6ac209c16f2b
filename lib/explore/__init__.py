"""How one looks at single images and models of a study in JupyterLab."""

from lib.explore import widgets

__all__ = ["widgets"]
