"""Register maps as package data: one YAML file a device type."""
