"""The stage of the head alone: cached activations, and heads fitted by solvers."""
