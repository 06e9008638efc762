"""What a run leaves for its report beside predictions: the surest test images, and pictures."""
