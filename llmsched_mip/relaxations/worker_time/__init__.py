"""Total completion of several workers: prices on the time of each."""
