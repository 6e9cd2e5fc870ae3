"""Training: samples, augmentation, targets, losses and the training loop. Needs the extra `train` (torch)."""
