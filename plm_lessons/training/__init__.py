"""Training: the optimisers of the papers, pre-training, fine-tuning and evaluation."""
