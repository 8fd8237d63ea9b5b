"""What flows are made of: the engine, the sources, and one room of pure processors per phase."""
