"""From archive to preprocessed arrays on disk."""
