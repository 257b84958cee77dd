"""Tasks, optimizers, callbacks and checkpoints."""
