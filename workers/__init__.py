"""Run trials: packed training, evaluation, and their fan-out over Ray Tune."""
