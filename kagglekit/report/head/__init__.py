"""The head and the foot of a report: what counts, what to try, and how the run was made."""
