"""The inputs that the campaign feeds, a module for each format, each with `make(rng)`.

`make` changes something in the working directory, a copy of the world (world.py), and returns what
to run there. What it does depends on `rng` only.
"""
