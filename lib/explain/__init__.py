"""Where in an image does a network look, and where does the lesion lie?"""
