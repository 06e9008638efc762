"""Read files that hold many images: rows of pixels, arrays, and records."""
