"""Everything that talks to Kaggle and other hosts."""
