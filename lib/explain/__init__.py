"""Where in an image a network looks, and where the lesion lies."""

from lib.explain import gradcam, kmeans

__all__ = ["gradcam", "kmeans"]
