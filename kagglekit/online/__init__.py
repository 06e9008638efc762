"""Everything that talks to other machines: Kaggle, and the open addresses of data."""
