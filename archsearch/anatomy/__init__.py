"""What a trained network is made of and what its parts do: the experiments of the sources, on anybody's network."""
