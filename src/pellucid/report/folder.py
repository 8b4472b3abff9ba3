"""Where files that appear completely or not at all were written from first; `storage.atomic` is their home."""

from pellucid.storage.atomic import complete, encode, write_bytes, write_text, writing

__all__ = ["complete", "encode", "write_bytes", "write_text", "writing"]
