"""The tables, their migrations, and bringing a database up to date."""
