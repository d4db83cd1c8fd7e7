"""The host's firewall: who may reach what as a model, nftables' text made of it, and the shells that run ``nft``."""
