"""What notebooks see of runs: a summary with scores, curves and images, and messages in place of tracebacks."""
