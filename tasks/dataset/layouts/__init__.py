"""What people's folders look like, one layout a file."""
