"""Building blocks shared by the models: activations, attention, feed-forward networks, positions."""
