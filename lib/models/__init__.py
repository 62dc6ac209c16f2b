"""How are the networks of Fig. 2 built, fed and trained?"""
