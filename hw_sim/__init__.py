"""hw_sim: the pole, the street and the control room around the very same daemon, on a laptop."""
