"""Constraints, orders and their allocation to vehicles. Pure."""
