"""Metering (AMI) and demand response in. Everything works without any of it."""
