"""The networks, one module each, and the blocks they share."""
