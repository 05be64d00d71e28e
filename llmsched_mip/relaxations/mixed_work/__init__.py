"""What every mixed execution has to do, in seconds of its iterations: prices, work of a request, its mean time."""
