"""Where facts come from: one file per source, all behind the interface in `base`."""
