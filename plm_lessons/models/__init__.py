"""The models, family by family, and the code that they share."""
