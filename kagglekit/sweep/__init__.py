"""A search over recipes: trials are runs, done as jobs; a sampler proposes what to try."""
