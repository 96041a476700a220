"""Training; read trainer.py first."""
