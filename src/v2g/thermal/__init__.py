"""IEC 60076-7: hot-spot and top-oil of the transformer, and what it can carry next. Pure."""
