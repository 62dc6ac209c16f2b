"""Which images are there, what do they look like to a network, and in which fold is each tested?"""
