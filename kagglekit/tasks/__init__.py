"""What is predicted: one object owns labels, targets, activation, strata and checks of a kind of target."""
