"""Our own certificate: its key and where it lies, who signs it, how it is installed and renewed; revocation data."""
