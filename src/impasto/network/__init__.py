"""VGG-19: its weights, its features, and the devices that they are computed on."""
