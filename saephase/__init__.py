"""The command line: a thin porch over `phase_diagrams` and `workers`."""
