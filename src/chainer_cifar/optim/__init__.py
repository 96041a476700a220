"""What a net is trained with: optimizers, learning-rate schedules, losses."""
