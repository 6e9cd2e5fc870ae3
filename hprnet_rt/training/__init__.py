"""Training: samples, augmentation, targets and losses. Needs the `train` extra (torch)."""
