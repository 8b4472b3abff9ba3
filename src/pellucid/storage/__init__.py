"""What leaves the program: files that appear completely or not at all."""
