"""Text to pieces with `tokenizers`, with exact alignment, and the entity vocabulary."""
