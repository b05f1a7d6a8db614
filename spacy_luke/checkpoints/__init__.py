"""A Hugging Face checkpoint directory on one side, our modules on the other."""
