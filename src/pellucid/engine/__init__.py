"""What is asked of a network for which methods, in which passes, and what comes of it."""
