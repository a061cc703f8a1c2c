"""Times and memory of networks, commands and conversions."""
