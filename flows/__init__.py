"""One file per thing a person can start: thin flows of order, parameters and reporting."""
