"""`luke_multiple_choice`: the option that goes best with a text."""
