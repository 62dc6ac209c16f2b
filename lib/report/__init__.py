"""How is the study shown as pages?"""
