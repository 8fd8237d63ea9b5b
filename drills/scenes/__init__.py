"""One file for each drill: what it is, how the original went, what ours must come to, and how it is played."""
