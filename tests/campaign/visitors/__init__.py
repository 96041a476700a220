"""Odd visitors of the server that serve.py starts."""
