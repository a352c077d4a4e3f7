"""Volume rendering of tri-planes: sampling, decoder, ray marching, and a readable twin of all of it."""
