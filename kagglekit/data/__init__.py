"""From a download to a split image table, and from predictions to a CSV."""
