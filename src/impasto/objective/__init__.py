"""What is minimised, and how: moments, losses, the objective whole or in tiles, the optimisers."""
