"""What the tests of several files build their cases from."""
