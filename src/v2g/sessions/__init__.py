"""One supervisor per vehicle: the ISO 15118-20 session on one side, the devices of its EVSE on the other."""
