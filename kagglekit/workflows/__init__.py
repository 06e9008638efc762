"""The kinds of run: single, folds, full data, repeats, blend, dry run, learning-rate search."""
