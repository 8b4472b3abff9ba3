"""What leaves the program: files that appear completely or not at all, one JSON, one head of all documents."""
