"""Training: the optimiser of the papers, pre-training, fine-tuning and evaluation."""
