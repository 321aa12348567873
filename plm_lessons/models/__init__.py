"""The models, one family a file, and what they share."""
