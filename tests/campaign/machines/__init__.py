"""Odd machines: what a command may find around it that is not as usual."""
