"""Pages about several runs: two or more compared, and all of them."""
