"""Search for the flags of train with the lowest validation error; read trials.py first."""
