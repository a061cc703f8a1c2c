"""What a mask says about a structure by itself: volume, surface and thickness, in mm."""
