"""One module a step of the paper; the notebooks tell the story, these functions do the work."""
