"""How does one look at single images and models of a study in JupyterLab?"""
