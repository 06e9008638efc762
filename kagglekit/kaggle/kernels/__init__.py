"""Kaggle's own machines: kernels that predict or train there, and the datasets that they take along."""
