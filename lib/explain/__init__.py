"""Where in an image does a network look, and where does the lesion lie?"""

from lib.explain import gradcam, kmeans

__all__ = ["gradcam", "kmeans"]
