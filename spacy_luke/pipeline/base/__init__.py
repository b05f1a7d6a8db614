"""What components of several tasks share."""
