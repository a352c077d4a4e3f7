"""``portrait evaluate``: the paper's protocols (section 4, D.1), for our weights, for baselines and for videos of other systems."""
