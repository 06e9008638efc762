"""Turn a download into a split image table, and predictions into a CSV."""
