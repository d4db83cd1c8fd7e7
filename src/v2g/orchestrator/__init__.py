"""The control cycle over a frozen image, and the composition root of the daemon."""
