"""How a picture is painted: which scales, and what happens at each."""
