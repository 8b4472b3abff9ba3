"""Pictures whose truth is known exactly, made from what packages carry."""
