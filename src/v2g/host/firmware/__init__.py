"""Updates: one signed file, two slots, a swap of one link, and a way back from every step."""
